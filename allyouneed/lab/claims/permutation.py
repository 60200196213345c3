"""Attention without positions does not know the order of its words."""

from collections.abc import Sequence

import torch

from allyouneed.lab.claim import FAILS, HOLDS, Claim, Figures, Table, Trial, Verdict
from allyouneed.nn.attention import Attend, SelfAttention
from allyouneed.nn.embedding import TextInput, TokenEmbedding
from allyouneed.nn.feedforward import FeedForward
from allyouneed.nn.layer import Context
from allyouneed.nn.positions import NoPositions, SinusoidalPositions
from allyouneed.nn.stack import Stack
from allyouneed.nn.wrap import PreNorm, layer_norm
from allyouneed.tracing.chart import Line, chart

WORDS = 12


def measure(trial: Trial) -> Figures:
    """How far outputs move when the words change places and the outputs are put back: without positions and with."""
    apart = {"without": 0.0, "with": float("inf")}
    shuffles = 5 if trial.quick else 50
    encoder = Stack(
        "sfsf", s=lambda: _wrapped(SelfAttention(64, 4, Attend(0.0))), f=lambda: _wrapped(FeedForward(64, 128))
    )
    encoder = encoder.double().eval()
    for name, positions in (("without", NoPositions()), ("with", SinusoidalPositions(64))):
        words = TextInput(TokenEmbedding(100, 64), positions).double().eval()
        with torch.no_grad():
            differences = [_moved(words, encoder) for _ in range(shuffles)]
        apart[name] = max(differences) if name == "without" else min(differences)
        trial.tick(0.5 if name == "without" else 1.0)
    return apart


def _wrapped(layer: torch.nn.Module) -> PreNorm:
    return PreNorm(layer, 64, 0.0, layer_norm(64, 1e-5))  # type: ignore[arg-type]


def _moved(words: TextInput, encoder: Stack) -> float:
    ids, order = torch.randperm(100)[:WORDS][None], torch.randperm(WORDS)
    straight, shuffled = encoder(words(ids), Context()), encoder(words(ids[:, order]), Context())
    return float((shuffled - straight[:, order]).abs().max())


def judge(found: Sequence[Figures]) -> Verdict:
    without, moved = max(f["without"] for f in found), min(f["with"] for f in found)
    word = HOLDS if without < 1e-10 and moved > 1e-3 else FAILS
    return Verdict(
        word, f"outputs follow the words within {without:.0e} without positions; with them they move by {moved:.2g}"
    )


def table(found: Sequence[Figures]) -> Table:
    rows = [[str(i), f"{f['without']:.1e}", f"{f['with']:.2g}"] for i, f in enumerate(found, 1)]
    return Table(["seed", "largest change, no positions", "smallest change, sinusoids"], rows)


def picture(found: Sequence[Figures]) -> str:
    lines = [
        Line("no positions", [(float(i), f["without"]) for i, f in enumerate(found, 1)], "blue", dots=True),
        Line("sinusoids", [(float(i), f["with"]) for i, f in enumerate(found, 1)], "orange", dots=True),
    ]
    return chart("Change of outputs when words change places", lines, "seed", "largest difference", zero=True)


CLAIM = Claim(
    name="permutation",
    says="Attention without positions is permutation-equivariant: it cannot know the order of words.",
    source="Vaswani et al. 2017, section 3.5",
    url="https://arxiv.org/abs/1706.03762",
    paper=Table(
        ["quantity", "paper"], [["order of the sequence without positional encoding", "not available to the model"]]
    ),
    setup="Two pre-norm encoder layers of width 64 in double precision; 50 random orders of 12 words.",
    rule="Without positions outputs follow the words to 1e-10 in every order; with sinusoids each order moves them.",
    cost="5 seconds",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)
