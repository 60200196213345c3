"""The figures of a report: learning curves and the position code. Each function returns an SVG string."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from allyouneed.tracing.chart import Line, chart, short
from allyouneed.tracing.svg import SIGNED, element, figure, raster, text

# ---- learning curves -------------------------------------------------------------------------------------------------


JUDGED = {
    "bleu": "BLEU", "bits_per_byte": "Bits per byte", "accuracy": "Accuracy", "f1": "F1", "mcc": "Matthews correlation",
    "masked_accuracy": "Masked accuracy", "pair_accuracy": "Pair accuracy", "exact": "Exact sequences",
}  # fmt: skip
"""Scores of which a curve is drawn wherever a task has them."""


def learning_curves(metrics: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Charts by name from lines of `metrics.jsonl`: loss, the task's scores, learning_rate, speed.

    Those without figures are left out.
    """
    loss = [
        Line("train, smoothed", _points(metrics, "train", "loss"), "blue", dashed=True),
        Line("train", _points(metrics, "train", "nll"), "blue"),
        *_judged(metrics, "dev", "dev_nll", "orange"),
    ]
    judged = {name: _judged(metrics, "dev", name, "orange") for name in JUDGED}
    rate = [Line("learning rate", _points(metrics, "train", "learning_rate"), "green")]
    speed = [Line("tokens per second", _points(metrics, "train", "tokens_per_second"), "purple")]
    drawn = {
        "loss": chart("Loss", loss, "updates", "nats per piece; right: perplexity", right=_perplexity),
        **{
            name: chart(f"{JUDGED[name]} on the dev set", line, "updates", JUDGED[name], zero=True)
            for name, line in judged.items()
        },
        "learning_rate": chart("Learning rate", rate, "updates", "learning rate", zero=True),
        "speed": chart("Speed", speed, "updates", "tokens per second", zero=True),
    }
    series = dict(loss=loss, **judged, learning_rate=rate, speed=speed)
    return {name: svg for name, svg in drawn.items() if any(line.points for line in series[name])}


def stacked(charts: Sequence[str], width: float = 500.0, height: float = 270.0) -> str:
    """Several charts in one figure, two beside each other: a picture file of its own."""
    placed = [
        svg.replace("<svg ", f'<svg x="{i % 2 * (width + 30):g}" y="{i // 2 * (height + 24):g}" ', 1)
        for i, svg in enumerate(charts)
    ]
    rows, columns = max(-(-len(charts) // 2), 1), min(max(len(charts), 1), 2)
    return figure(columns * (width + 30) - 30, rows * (height + 24) - 24, "learning curves", *placed)


def _points(metrics: Sequence[Mapping[str, Any]], kind: str, name: str) -> list[tuple[float, float]]:
    found = [(line["step"], line.get(name)) for line in metrics if line.get("kind") == kind]
    return [(float(step), float(value)) for step, value in found if isinstance(value, int | float)]


def _judged(metrics: Sequence[Mapping[str, Any]], name: str, field: str, colour_: str) -> list[Line]:
    """Validations in the course of training, and what was judged after it (a mean of checkpoints) as rings."""
    last: dict[float, float] = {}
    after = _points(metrics, "final", field)
    for step, value in _points(metrics, "dev", field):
        if step in last:
            after.append((step, value))
        else:
            last[step] = value
    course = Line(name, list(last.items()), colour_, dots=True)
    return [course, Line("at the end", after, colour_, dots=True, joined=False)] if after else [course]


def _perplexity(nats: float) -> str:
    return short(float(f"{math.exp(min(nats, 50.0)):.3g}"))


# ---- positions -------------------------------------------------------------------------------------------------------


def position_table(codes: Tensor, of: str = "position") -> str:
    """The table of position codes n d as a heat map: rows are positions, columns the code's dimensions.

    `of` says what is numbered, if not positions.
    """
    count, dim = codes.shape
    size = float(codes.abs().max()) or 1.0
    shares = (codes.float() / size + 1).mul(0.5).clamp(0, 1).cpu().numpy()
    width, height = 512.0, 240.0
    picture = element(
        "image", href=raster(shares, SIGNED), x=48, y=30, width=width, height=height, preserveAspectRatio="none",
        style="image-rendering:pixelated",
    )  # fmt: skip
    ends = [(48.0, 0), (48 + width, dim - 1)]
    names = [text(value, x=x, y=height + 46, text_anchor="middle") for x, value in ends]
    names += [text(value, x=42, y=y, text_anchor="end") for y, value in ((40.0, 0), (height + 30, count - 1))]
    names.append(text("dimension of the code →", x=48 + width / 2, y=height + 46, text_anchor="middle"))
    names.append(text(f"← {of}", transform=f"translate(14 {30 + height / 2:g}) rotate(-90)", text_anchor="middle"))
    axis = element("g", *names, font_size=11, fill="currentColor", class_="axis")
    head = text(f"The code of each {of}", x=0, y=14, font_size=14, font_weight=600, fill="currentColor")
    label = f"position codes of {count} positions in {dim} dimensions, from {-size:.3g} to {size:.3g}"
    return figure(width + 72, height + 56, label, head, picture, axis, class_="figure chart")


def position_products(codes: Tensor) -> str:
    """Dot products of the codes n d of three positions with those around them, by distance."""
    count = codes.shape[0]
    products = (codes.double() @ codes.double().T).tolist()
    chosen = sorted({count // 4, count // 2, 3 * count // 4})
    lines = [
        Line(f"t = {at}", [(float(k - at), products[at][k]) for k in range(count)], shade, dashed=i > 0)
        for i, (at, shade) in enumerate(zip(chosen, ("blue", "orange", "green"), strict=False))
    ]
    return chart("Likeness of positions t and t + k", lines, "distance k", "dot product of the codes")


def depends_on_distance(codes: Tensor) -> bool:
    """Whether PE_t · PE_{t+k} is the same for all t, as it is for sinusoids."""
    products = codes.double() @ codes.double().T
    worst = max(float(products.diagonal(k).std(correction=0)) for k in range(codes.shape[0] - 1))
    return worst < 1e-3 * float(products.abs().max())
