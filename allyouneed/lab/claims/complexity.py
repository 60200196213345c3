"""The complexity table of the Transformer's paper, measured: time, memory, sequential steps, path length."""

import math
import time
from collections.abc import Callable, Sequence

import torch

from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.interval import interval, together, within
from allyouneed.lab.memory import saved_bytes
from allyouneed.nn.attention import Attend, SelfAttention
from allyouneed.nn.convolution import Convolution
from allyouneed.nn.layer import Context, Layer
from allyouneed.nn.local import LocalSelfAttention, WindowAttend
from allyouneed.nn.lsh import LSHAttend
from allyouneed.nn.recurrent import LSTM
from allyouneed.nn.shared_attention import SharedSelfAttention
from allyouneed.nn.shuffle import LengthNorm, ResidualSwitchUnit, ShuffleExchange
from allyouneed.tracing.chart import Line, chart

DIM, HEADS, REACH, KERNEL = 32, 2, 16, 3
LENGTHS, QUICK = (512, 1024, 2048, 4096, 8192), (256, 512, 1024)
PLACES = 33  # the path length is looked for between the first and the last of so many places


def makers() -> dict[str, Callable[[], Layer]]:
    return {
        "full attention": lambda: SelfAttention(DIM, HEADS, Attend(0.0)),
        "windowed attention": lambda: LocalSelfAttention(DIM, HEADS, WindowAttend(REACH, REACH)),
        "LSH attention": lambda: SharedSelfAttention(DIM, HEADS, LSHAttend(HEADS, DIM // HEADS, 32, (64,), 2)),
        "convolution": lambda: Convolution(DIM, KERNEL),
        "recurrence": lambda: LSTM(DIM),
        "shuffle-exchange": lambda: ShuffleExchange(1, lambda linked: ResidualSwitchUnit(DIM, LengthNorm)),
    }


class Formula:
    """What the table says of a layer: operations by length, sequential steps, path length by number of places."""

    def __init__(self, shown: tuple[str, str, str], low: float, high: float, path: Callable[[int], float] | None):
        self.shown, self.low, self.high, self.path = shown, low, high, path


FORMULAS = {
    # Exponents are of measured time, in which what a layer does place by place (n d^2) has its part, so full attention
    # may stay below 2 and n log n comes out a little above 1.
    "full attention": Formula(("n² d", "1", "1"), 1.6, 2.3, lambda n: 1),
    "windowed attention": Formula(("r n d", "1", "n / r"), 0.75, 1.2, lambda n: math.ceil((n - 1) / REACH)),
    "LSH attention": Formula(("r n c d + n log n", "1", "1 in a bucket"), 0.75, 1.25, None),
    "convolution": Formula(("k n d²", "1", "n / k, dilated log_k n"), 0.75, 1.25,
                           lambda n: math.ceil((n - 1) / (KERNEL // 2))),
    "recurrence": Formula(("n d²", "n", "n (one layer)"), 0.75, 1.25, lambda n: 1),
    "shuffle-exchange": Formula(("n log n d²", "log n", "log n switches (one block)"), 0.75, 1.3, lambda n: 1),
}  # fmt: skip


def measure(trial: Trial) -> Figures:
    """Exponents of time and of saved memory in n, and the layers that the first place needs to reach the last."""
    lengths = QUICK if trial.quick else LENGTHS
    out: dict[str, dict[str, object]] = {}
    for i, (name, make) in enumerate(makers().items()):
        layer = make()
        seconds = [_seconds(layer, n, 1 if trial.quick else 3) for n in lengths]
        saved = [saved_bytes(layer, torch.randn(1, n, DIM, requires_grad=True), Context()) for n in lengths]
        out[name] = {
            "seconds": seconds,
            "saved": saved,
            "time": slope(lengths, seconds),
            "memory": slope(lengths, saved),
            "path": path_length(make),
        }
        trial.tick((i + 1) / len(FORMULAS))
    return {"lengths": list(lengths), **out}


def slope(lengths: Sequence[int], values: Sequence[float]) -> float:
    """The exponent: least squares through the logarithms."""
    x = torch.tensor(lengths, dtype=torch.float64).log()
    y = torch.tensor(values, dtype=torch.float64).log()
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum())


def _seconds(layer: Layer, n: int, repeats: int) -> float:
    """Processor seconds of one forward and backward pass, the best of some."""
    best = math.inf
    for _ in range(repeats + 1):
        x = torch.randn(1, n, DIM, requires_grad=True)
        begun = time.process_time()
        layer(x, Context()).sum().backward()
        best = min(best, time.process_time() - begun)
    return best


def path_length(make: Callable[[], Layer]) -> int:
    """The smallest number of layers with which a change of the first place changes the last, in double precision."""
    x = torch.randn(1, PLACES, DIM, dtype=torch.float64)
    changed = x.clone()
    changed[:, 0] += 1.0
    with torch.no_grad():
        for depth in range(1, PLACES + 1):
            layer = make().double().eval()
            x, changed = layer(x, Context()), layer(changed, Context())
            if not torch.equal(x[:, -1], changed[:, -1]):
                return depth
    return PLACES + 1


def judge(found: Sequence[Figures]) -> Verdict:
    words, said = [], []
    for name, formula in FORMULAS.items():
        exponents = [f[name]["time"] for f in found]
        words.append(within(exponents, formula.low, formula.high))
        said.append(f"{name} n^{interval(exponents).mean:.2f}")
        if formula.path is not None:
            paths = [float(f[name]["path"]) for f in found]
            words.append(within(paths, formula.path(PLACES), formula.path(PLACES)))
    return Verdict(together(words), f"measured time grows as {', '.join(said)}; paths are as the formulas say")


def table(found: Sequence[Figures]) -> Table:
    header = [
        "layer",
        "operations",
        "steps",
        "path",
        "time exponent",
        "memory exponent",
        f"layers to cross {PLACES} places",
    ]
    rows = []
    for name, formula in FORMULAS.items():
        times, memory = ([f[name][key] for f in found] for key in ("time", "memory"))
        path = sorted({f[name]["path"] for f in found})
        rows.append([name, *formula.shown, str(interval(times)), str(interval(memory)), ", ".join(map(str, path))])
    return Table(header, rows)


def picture(found: Sequence[Figures]) -> str:
    colours = ("blue", "orange", "green", "purple", "blue", "orange")
    lengths = found[0]["lengths"]
    lines = [
        Line(name, [(math.log2(n), math.log10(s)) for n, s in zip(lengths, found[0][name]["seconds"], strict=True)],
             colour, dots=True, dashed=i > 3)
        for i, (name, colour) in enumerate(zip(FORMULAS, colours, strict=True))
    ]  # fmt: skip
    return chart("Time of one layer, forward and backward", lines, "log2 of the length", "log10 of seconds")


CLAIM = Claim(
    name="complexity",
    says="Attention costs n² d and joins all places in one layer; recurrence, convolution and restricted attention are "
         "linear in n but need n steps or many layers.",
    source="Vaswani et al. 2017, section 4, table 1; for LSH and shuffle-exchange their papers",
    url="https://arxiv.org/abs/1706.03762",
    paper=Table(["layer", "complexity", "sequential operations", "maximum path length"], [
        ["self-attention", "O(n² d)", "O(1)", "O(1)"],
        ["recurrent", "O(n d²)", "O(n)", "O(n)"],
        ["convolutional", "O(k n d²)", "O(1)", "O(log_k n)"],
        ["self-attention, restricted", "O(r n d)", "O(1)", "O(n / r)"],
    ]),
    setup=f"Layers of width {DIM} on one thread, n of {LENGTHS[0]} to {LENGTHS[-1]:,}: processor time and bytes kept for "
          f"the backward pass, exponents by least squares in logarithms; window {REACH} to each side, kernel {KERNEL}; the "
          "path is the number of layers with which a change of the first place reaches the last.",
    rule="Each time exponent lies in the band of its formula (full attention 1.6 to 2.3, the others 0.75 to 1.3), and "
         "every path that a formula fixes is met exactly.",
    cost="3 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
