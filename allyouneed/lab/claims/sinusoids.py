"""The dot product of two sinusoidal position codes depends on their distance alone."""

import math
from collections.abc import Sequence

import torch

from allyouneed.lab.claim import FAILS, HOLDS, Claim, Figures, Table, Trial, Verdict
from allyouneed.nn.positions import LAYOUTS, sinusoids
from allyouneed.tracing.chart import Line, chart

DIM, LENGTH = 128, 200


def measure(trial: Trial) -> Figures:
    """PE_t · PE_{t+k} against the sum of cosines, for every t and k, and against the other direction."""
    places = torch.arange(LENGTH)
    distance = (places[:, None] - places).abs()
    out: dict[str, object] = {}
    for layout in LAYOUTS:
        table = sinusoids(LENGTH, DIM, layout).double()
        products = table @ table.T  # t t
        steps = DIM / 2 if layout != "tensor2tensor" else DIM / 2 - 1
        rates = [10000 ** (-i / steps) for i in range(DIM // 2)]
        cosines = torch.tensor([sum(math.cos(rate * k) for rate in rates) for k in range(LENGTH)], dtype=torch.float64)
        out[layout] = float((products - cosines[distance]).abs().max())
        if layout == "interleaved":
            out["curve"] = [float(cosines[k]) for k in range(0, LENGTH, 2)]
        trial.tick((LAYOUTS.index(layout) + 1) / len(LAYOUTS))
    return out


def judge(found: Sequence[Figures]) -> Verdict:
    worst = max(figures[layout] for figures in found for layout in LAYOUTS)
    size = DIM / 2
    # The codes are float32 with arguments of up to 200 radians, so a product of 128 terms is right to about 1e-4.
    return Verdict(
        HOLDS if worst < 1e-3 else FAILS,
        f"over all {LENGTH} x {LENGTH} pairs of places the product differs from the sum of cosines of the distance by at "
        f"most {worst:.0e}, of {size:g} at distance 0; so it is the same in both directions",
    )


def table(found: Sequence[Figures]) -> Table:
    return Table(["layout", "largest difference from the formula"],
                 [[layout, f"{max(f[layout] for f in found):.1e}"] for layout in LAYOUTS])  # fmt: skip


def picture(found: Sequence[Figures]) -> str:
    points = [(2.0 * i, value) for i, value in enumerate(found[0]["curve"])]
    return chart("PE(t) · PE(t + k)", [Line("sum of cosines", points, "blue")], "distance k", "dot product")


CLAIM = Claim(
    name="sinusoids",
    says="The dot product of two sinusoidal codes is the sum of cos(c_j k): it depends on the distance k alone, and is the "
         "same in both directions.",
    source="Vaswani et al. 2017, section 3.5 (the property that its linear map between offsets rests on)",
    url="https://arxiv.org/abs/1706.03762",
    paper=Table(["quantity", "paper"], [["PE(t + k)", "a linear function of PE(t), whatever t"]]),
    setup=f"All pairs of {LENGTH} places, width {DIM}, in the three layouts in circulation.",
    rule="The largest difference from the formula over all pairs is below 1e-3 (float32 codes).",
    cost="2 seconds",
    seeds=1,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
