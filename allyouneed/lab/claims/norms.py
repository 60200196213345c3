"""LayerNorm against BatchNorm where sentences have unlike lengths."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.interval import above, interval, together
from allyouneed.nn.attention import Attend, SelfAttention
from allyouneed.nn.embedding import TextInput, TokenEmbedding
from allyouneed.nn.feedforward import FeedForward
from allyouneed.nn.frames import Tagger
from allyouneed.nn.heads import VocabularyHead
from allyouneed.nn.layer import Layer
from allyouneed.nn.positions import SinusoidalPositions
from allyouneed.nn.stack import Stack
from allyouneed.nn.wrap import PostNorm, TokenBatchNorm
from allyouneed.tracing.chart import Line, chart

DIM, LETTERS, LONGEST, BATCH = 64, 20, 16, 64
NORMS: dict[str, Callable[[], nn.Module]] = {"layer": lambda: nn.LayerNorm(DIM), "batch": lambda: TokenBatchNorm(DIM)}


def reverser(norm: Callable[[], nn.Module]) -> Tagger:
    """Two post-norm encoder layers that differ in the norm alone."""

    def wrap(layer: Layer) -> Layer:
        return PostNorm(layer, DIM, 0.0, norm)

    encoder = Stack(
        "sfsf", s=lambda: wrap(SelfAttention(DIM, 4, Attend(0.0))), f=lambda: wrap(FeedForward(DIM, 4 * DIM))
    )
    table = TokenEmbedding(LETTERS + 4, DIM)
    nn.init.normal_(table.table.weight, std=DIM**-0.5)
    head = VocabularyHead(nn.Parameter(torch.randn(LETTERS + 4, DIM) * DIM**-0.5))
    return Tagger(TextInput(table, SinusoidalPositions(DIM)), encoder, head)


def words(rows: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sequences of 2 to 16 letters, padded, and each reversed in its place."""
    lengths = torch.randint(2, LONGEST + 1, (rows, 1), generator=draw)
    ids = torch.randint(4, LETTERS + 4, (rows, LONGEST), generator=draw)
    place = torch.arange(LONGEST).expand(rows, -1)
    real = place < lengths
    mirrored = ids.gather(1, (lengths - 1 - place).clamp(min=0))
    return ids * real, mirrored * real


def measure(trial: Trial) -> Figures:
    """How far padding moves a sentence's own outputs, and how well each norm learns to reverse."""
    steps = 30 if trial.quick else 1500
    out: dict[str, float] = {}
    for i, (name, norm) in enumerate(NORMS.items()):
        torch.manual_seed(trial.seed)
        model, draw = reverser(norm), torch.Generator().manual_seed(trial.seed)
        out[f"{name} moved"] = moved_by_padding(model)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for step in range(steps):
            source, target = words(BATCH, draw)
            result = model.head.loss(model.hidden(source), target)
            optimizer.zero_grad()
            (result.loss / result.tokens).backward()
            optimizer.step()
            optimizer.param_groups[0]["lr"] = 1e-3 * min(1.0, (step + 2) / 100, 2 * (1 - (step + 1) / steps) + 1e-3)
            trial.tick((i + (step + 1) / steps) / len(NORMS))
        source, target = words(2000, draw)
        with torch.no_grad():
            right = (model.eval()(source).argmax(-1) == target) & (target != 0)
        out[f"{name} accuracy"] = float(right.sum() / (target != 0).sum())
    return out


@torch.no_grad()
def moved_by_padding(model: Tagger) -> float:
    """The largest change of a batch's hidden states in training when four columns of padding are added."""
    source, _ = words(BATCH, torch.Generator().manual_seed(0))
    before = model.train().hidden(source)
    after = model.hidden(torch.nn.functional.pad(source, (0, 4)))[:, :LONGEST]
    return float(((after - before).abs() * (source != 0)[..., None]).max())


def judge(found: Sequence[Figures]) -> Verdict:
    moved = [f["batch moved"] - f["layer moved"] for f in found]
    gain = [f["layer accuracy"] - f["batch accuracy"] for f in found]
    return Verdict(
        together([above(moved, 1e-3), above(gain)]),
        f"padding moves hidden states by {interval([f['batch moved'] for f in found])} under BatchNorm and "
        f"{interval([f['layer moved'] for f in found])} under LayerNorm; LayerNorm is ahead by {interval(gain)} in accuracy",
    )


def table(found: Sequence[Figures]) -> Table:
    names = {"layer": "LayerNorm", "batch": "BatchNorm over tokens"}

    def cell(name: str) -> str:
        return str(interval([figures[name] for figures in found]))

    rows = [[shown, cell(f"{name} moved"), cell(f"{name} accuracy")] for name, shown in names.items()]
    return Table(["norm", "moved by four more columns of padding", "letters reversed rightly"], rows)


def picture(found: Sequence[Figures]) -> str:
    lines = [
        Line(shown, [(float(i), f[f"{name} accuracy"]) for i, f in enumerate(found, 1)], colour, dots=True)
        for name, shown, colour in (("layer", "LayerNorm", "blue"), ("batch", "BatchNorm", "orange"))
    ]
    return chart("Reversing words of unlike lengths", lines, "seed", "accuracy", zero=True)


CLAIM = Claim(
    name="norms",
    says="LayerNorm suits sentences of unlike lengths; BatchNorm's statistics depend on padding and on the other sentences.",
    source="Ba et al. 2016, section 3; the choice of Vaswani et al. 2017, section 3.1",
    url="https://arxiv.org/abs/1607.06450",
    paper=Table(["quantity", "paper"], [["normalisation of sequences of unlike lengths",
                                        "batch normalisation is not obviously applicable; layer normalisation is"]]),
    setup=f"Two post-norm encoder layers of width {DIM} learn to reverse words of 2 to {LONGEST} letters, padded; 1,500 "
          f"updates of {BATCH} words; accuracy on 2,000 new words.",
    rule="Padding moves hidden states under BatchNorm and not under LayerNorm, and LayerNorm's accuracy is higher.",
    cost="2 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
