"""Pictures of attention: one head as a map, all heads of a layer, and lines between two columns of tokens."""

from collections.abc import Iterator

import numpy as np

from allyouneed.errors import UserError
from allyouneed.tracing.labels import label
from allyouneed.tracing.labels import width as width_of
from allyouneed.tracing.maps import MOST as MOST_DOTS
from allyouneed.tracing.maps import attention_map, field
from allyouneed.tracing.sheet import Sheet, capital, legend
from allyouneed.tracing.svg import element, figure, text, title
from allyouneed.tracing.trace import Trace
from allyouneed.tracing.view import View, Wanted, view

LOOK = "Rows look, columns are looked at."
BLUE, ORANGE = "#0072b2", "#d55e00"
WIDE, DOTS = 150.0, 75
"""Pixels of a small map, and the most dots of its side."""

STEP, SPAN, MOST = 19.0, 150.0, 120
"""Pixels from line to line and between the columns, and the most tokens of a side."""


def attention(trace: Trace, wanted: Wanted) -> Sheet:
    """One head's map with every token named."""
    seen = view(trace, wanted)
    weights, visible, head = seen.head(wanted.head)
    top = seen.top(weights)
    drawn = attention_map(
        weights, seen.queries, seen.keys, "", visible, "looks", top, seen.signed, _cell(weights.shape)
    )
    bar = legend(top, seen.signed, not visible.all())
    return Sheet(
        f"{capital(seen.where)}, {head}",
        _below(trace, LOOK),
        [drawn, bar],
        _blocks(weights.shape, MOST_DOTS) + seen.note,
    )


def _cell(shape: tuple[int, ...]) -> float | None:
    """Large cells for few tokens: a figure in a paper is looked at from farther away than a page."""
    return 24.0 if max(shape) <= 16 else 16.0 if max(shape) <= 32 else None


def heads(trace: Trace, wanted: Wanted) -> Sheet:
    """All heads of a layer, small, on one scale; tokens are named at the left and the top where they have room."""
    seen = view(trace, wanted)
    count, n, m = seen.weights.shape
    top, across, high = seen.top(), min(count, 4), min(max(WIDE * n / m, 40.0), 220.0)
    left = width_of(seen.queries, 10) + 8 if n * 9 <= high else 0.0
    above = width_of(seen.keys, 10) + 8 if m * 9 <= WIDE else 2.0
    parts = []
    for i in range(count):
        column, row = i % across, i // across
        x, y = left + column * (WIDE + 16), above + row * (high + 28)
        drawn = element(
            "g",
            *field(seen.weights[i], seen.visible[i], WIDE, high, top, seen.signed, DOTS),
            shape_rendering="crispEdges",
        )
        frame = element("rect", width=WIDE, height=high, fill="none", stroke="currentColor", stroke_width=0.5)
        name = text(f"head {i + 1}", y=high + 14, font_size=11, fill="currentColor")
        names = [*_beside(seen.queries, high, left and not column), *_over(seen.keys, above > 2 and not row)]
        parts.append(element("g", drawn, frame, name, *names, transform=f"translate({x:g} {y:g})", class_="head"))
    rows = -(-count // across)
    grid = figure(left + across * (WIDE + 16) - 15, above + rows * (high + 28) - 10, f"{count} heads", *parts)
    bar = legend(top, seen.signed, not seen.visible.all())
    where = f"{capital(seen.where)}, {count} head{'s' * (count > 1)}"
    return Sheet(where, _below(trace, LOOK), [grid, bar], _blocks((n, m), DOTS) + seen.note)


def _blocks(shape: tuple[int, ...], most: int) -> str:
    """What has to be said of a map of more items than dots."""
    down, across = (max(1, -(-count // most)) for count in shape)
    return f"A dot is the largest of {down} x {across} weights. " if down * across > 1 else ""


def _beside(tokens: list[str], high: float, wanted: object) -> Iterator[str]:
    for i, token in enumerate(tokens if wanted else ()):
        y = (i + 0.5) * high / len(tokens) + 3.5
        yield label(token, x=-5, y=y, text_anchor="end", font_size=min(10.0, high / len(tokens)), fill="currentColor")


def _over(tokens: list[str], wanted: object) -> Iterator[str]:
    for j, token in enumerate(tokens if wanted else ()):
        place = f"translate({(j + 0.5) * WIDE / len(tokens) + 3.5:g} -5) rotate(-90)"
        yield label(token, transform=place, font_size=min(10.0, WIDE / len(tokens)), fill="currentColor")


def lines(trace: Trace, wanted: Wanted) -> Sheet:
    """Two columns of tokens; the stronger a line, the more is looked. With a `query`, its lines alone, with shares."""
    seen = view(trace, wanted)
    weights, visible, head = seen.head(wanted.head)
    if max(weights.shape) > MOST:
        raise UserError(f"{max(weights.shape)} tokens in a column are more than the {MOST} that can be told apart; "
                        "draw \"attention\" instead")  # fmt: skip
    if seen.signed:
        raise UserError(f'{seen.relation.title} has weights of both signs, which lines cannot show; draw "attention"')
    rows = range(len(seen.queries)) if wanted.query is None else [seen.row(wanted.query)]
    left, top = width_of(seen.queries, 12, 24) + 8, seen.top(weights)
    least = top * (0.02 if wanted.query is None else 0.005)
    drawn, rest = _strokes(weights, visible, rows, left, top, least)
    names = _columns(seen, weights, rows, left, wanted.query)
    right = left + SPAN + width_of(seen.keys, 12, 24) + (60 if wanted.query is not None else 10)
    high = STEP * max(weights.shape) + 24
    label_ = f"{seen.where}, {head}: lines from tokens that look to tokens looked at"
    below = f"The left looks at the right; the strongest line is {weights[list(rows)].max():.2f}."
    note = f"Lines under {least:.2g} are not drawn; they are {rest:.0%} of the weight." if rest > 0.005 else seen.note
    return Sheet(
        f"{capital(seen.where)}, {head}", _below(trace, below), [figure(right, high, label_, drawn, names)], note
    )


def _strokes(
    weights: np.ndarray, visible: np.ndarray, rows: range | list[int], left: float, top: float, least: float
) -> tuple[str, float]:
    """The lines, weak ones first, and the share of weight that is not drawn."""
    cells = [(float(weights[i, j]), i, j) for i in rows for j in np.flatnonzero(visible[i]).tolist()]
    strong = sorted(cell for cell in cells if cell[0] >= 0.999 * least)
    total = sum(weight for weight, _, _ in cells) or 1.0
    parts = [
        element("line", title(f"{i + 1} → {j + 1}: {weight:.4f}"), x1=left, y1=_middle(i), x2=left + SPAN, y2=_middle(j),
                stroke_opacity=f"{min(weight / top, 1):.3f}", stroke_width=f"{0.8 + 2.4 * min(weight / top, 1):.2f}")
        for weight, i, j in strong
    ]  # fmt: skip
    drawn = element("g", *parts, stroke=BLUE, stroke_linecap="round", class_="looks")
    return drawn, 1 - sum(weight for weight, _, _ in strong) / total


def _columns(seen: View, weights: np.ndarray, rows: range | list[int], left: float, query: int | None) -> str:
    quiet = dict(font_size=10, fill="currentColor", class_="axis")
    parts = [
        text("looks", x=left - 6, y=11, text_anchor="end", **quiet),
        text("looked at", x=left + SPAN + 6, y=11, **quiet),
    ]
    for i, token in enumerate(seen.queries):
        faint = None if i in rows else "0.45"
        weight = 600 if i == query else None
        place = dict(x=left - 6, y=_middle(i) + 4, text_anchor="end", fill_opacity=faint, font_weight=weight)
        parts.append(label(token, 24, **place))
    for j, token in enumerate(seen.keys):
        parts.append(label(token, 24, x=left + SPAN + 6, y=_middle(j) + 4))
    if query is not None:
        at = left + SPAN + 12 + width_of(seen.keys, 12, 24)
        shares = [(j, float(weights[query, j])) for j in range(len(seen.keys))]
        parts += [text(f"{share:.0%}", x=at, y=_middle(j) + 4, font_size=10) for j, share in shares if share >= 0.005]
    return element("g", *parts, font_size=12, fill="currentColor")


def _middle(i: int) -> float:
    return 18 + STEP * (i + 0.5)


def _below(trace: Trace, says: str) -> str:
    model = trace.manifest.model.name
    return f"{model}. {says}" if model else says
