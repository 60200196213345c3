"""Why the dot products are divided by sqrt(d_k)."""

from collections.abc import Sequence

import torch

from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.interval import above, interval, together, within
from allyouneed.tracing.chart import Line, chart

WIDTHS = (4, 16, 64, 256, 1024)
KEYS = 32


def measure(trial: Trial) -> Figures:
    """Variance of q·k, and the size of the gradient that softmax lets through with the scale and without."""
    rows = 500 if trial.quick else 20_000
    out: dict[str, list[float]] = {"variance": [], "plain": [], "scaled": []}
    for i, width in enumerate(WIDTHS):
        q = torch.randn(rows, width, dtype=torch.float64)
        k = torch.randn(rows, KEYS, width, dtype=torch.float64)
        scores = torch.einsum("r d, r n d -> r n", q, k)
        out["variance"].append(float(scores.var()) / width)
        out["plain"].append(gradient(scores))
        out["scaled"].append(gradient(scores * width**-0.5))
        trial.tick((i + 1) / len(WIDTHS))
    return out


def gradient(scores: torch.Tensor) -> float:  # r n
    """The mean Frobenius norm of softmax's Jacobian, diag(p) - p p^T."""
    p = scores.softmax(-1)
    square = p.square().sum(-1)
    # |diag(p) - p p^T|^2 = sum p^2 - 2 sum p^3 + (sum p^2)^2
    norm = (square - 2 * p.pow(3).sum(-1) + square.square()).clamp(min=0).sqrt()
    return float(norm.mean())


def judge(found: Sequence[Figures]) -> Verdict:
    last = [figures["variance"][-1] for figures in found]
    gain = [figures["scaled"][-1] / figures["plain"][-1] for figures in found]
    steady = [figures["scaled"][-1] / figures["scaled"][0] for figures in found]
    word = together([within(last, 0.95, 1.05), above(gain, 2.0), within(steady, 0.8, 1.25)])
    return Verdict(
        word,
        f"at d_k = {WIDTHS[-1]} the variance is {interval(last)} times d_k, and the scale lets {interval(gain)} times "
        f"as much gradient through; with it the gradient is {interval(steady)} times that at d_k = {WIDTHS[0]}",
    )


def table(found: Sequence[Figures]) -> Table:
    def cell(name: str, i: int) -> str:
        return str(interval([figures[name][i] for figures in found]))

    rows = [[str(w), cell("variance", i), cell("plain", i), cell("scaled", i)] for i, w in enumerate(WIDTHS)]
    return Table(["d_k", "variance of q·k over d_k", "gradient, no scale", "gradient, with the scale"], rows)


def picture(found: Sequence[Figures]) -> str:
    def mean(name: str) -> list[tuple[float, float]]:
        return [(float(i), interval([f[name][i] for f in found]).mean) for i in range(len(WIDTHS))]

    lines = [Line("scaled", mean("scaled"), "blue", dots=True), Line("plain", mean("plain"), "orange", dots=True)]
    name = f"d_k: {', '.join(map(str, WIDTHS))}"
    return chart("What softmax lets through", lines, name, "norm of the Jacobian", zero=True)


CLAIM = Claim(
    name="scale",
    says="The variance of q·k is d_k, and dividing by sqrt(d_k) keeps softmax's gradient alive.",
    source="Vaswani et al. 2017, section 3.2.1, footnote 4",
    url="https://arxiv.org/abs/1706.03762",
    paper=Table(["quantity", "paper"], [["variance of q·k for components of variance 1", "d_k"],
                                        ["gradients of softmax without the scale", "extremely small for large d_k"]]),
    setup=f"Random q and {KEYS} keys of variance 1 for d_k of {', '.join(map(str, WIDTHS))}; norm of softmax's Jacobian.",
    rule="At the largest d_k the variance is within 5 % of d_k, the scale lets at least twice the gradient through, and "
         "the scaled gradient stays within 25 % of that at the smallest d_k.",
    cost="10 seconds",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
