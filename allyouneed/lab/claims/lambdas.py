"""LambdaNetworks: position does more than content, the scope matters little, and memory does not grow with the batch."""

from collections.abc import Mapping, Sequence

import torch

from allyouneed.lab.claim import FAILS, HOLDS, Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.images import accuracy, pictures, trained
from allyouneed.lab.interval import above, interval, together, within
from allyouneed.lab.memory import PlainAttention, saved_bytes
from allyouneed.lab.training import part
from allyouneed.models.lambda_networks import LambdaConfig, lambda_network
from allyouneed.nn.attention import Attend, SelfAttention
from allyouneed.nn.lambda_layer import LambdaLayer
from allyouneed.tracing.chart import Line, chart

VARIANTS: Mapping[str, Mapping[str, object]] = {
    "content and position": {"sees": "both"},
    "position alone": {"sees": "position"},
    "content alone": {"sees": "content"},
    "both, scope of 3": {"sees": "both", "scope": 3},
    "both, scope of 7": {"sees": "both", "scope": 7},
}
GRID, STEPS, COUNT, SIDE, DIM = 8, 500, 2000, 32, 32
BATCHES, ALIKE = (1, 2, 4, 8), 0.03


def measure(trial: Trial) -> Figures:
    """Accuracy by what a lambda is made of; and what a layer keeps, in bytes, by the size of the batch."""
    found = pictures(trial, COUNT, GRID)
    out: dict[str, object] = {}
    for i, (name, numbers) in enumerate(VARIANTS.items()):
        torch.manual_seed(trial.seed)
        config = LambdaConfig(**{**found.numbers(), "dim": 24, "order": "l-ll", "heads": 4, "key_dim": 8, "stem": "half",
                                 **numbers})  # fmt: skip
        model = trained(lambda_network(config), found, trial, STEPS, part(trial.tick, i, len(VARIANTS)), 24, rate=2e-3)
        out[name] = accuracy(model, found)
    lambdas = LambdaLayer(DIM, heads=4, key_dim=8, scope=(2 * SIDE - 1, 2 * SIDE - 1))
    attention = PlainAttention(SelfAttention(DIM, 4, Attend(0.0)))
    maps = [torch.randn(b, DIM, SIDE, SIDE, requires_grad=True) for b in BATCHES]
    return {
        **out,
        "lambda": [saved_bytes(lambdas, x) for x in maps],
        "attention": [saved_bytes(attention, x.flatten(2).transpose(1, 2)) for x in maps],
    }


def per_image(bytes_: Sequence[float]) -> float:
    """What another image of the batch adds."""
    return (bytes_[-1] - bytes_[0]) / (BATCHES[-1] - BATCHES[0])


def gain(found: Sequence[Figures], better: str, worse: str) -> list[float]:
    return [f[better] - f[worse] for f in found]


def judge(found: Sequence[Figures]) -> Verdict:
    position = gain(found, "position alone", "content alone")
    rest = gain(found, "content and position", "position alone")
    scope = gain(found, "both, scope of 7", "content and position")
    share = max(per_image(f["lambda"]) / per_image(f["attention"]) for f in found)
    words = [
        above(position),
        within(rest, -ALIKE, ALIKE),
        within(scope, -ALIKE, ALIKE),
        HOLDS if share < 0.1 else FAILS,
    ]
    return Verdict(
        together(words),
        f"position alone is ahead of content alone by {interval(position)} of the images; content adds {interval(rest)}; a "
        f"scope of 7 changes {interval(scope)}; another image of the batch keeps {share:.1%} of the bytes that attention's "
        "map would take",
    )


def table(found: Sequence[Figures]) -> Table:
    rows = [[name, str(interval([f[name] for f in found]))] for name in VARIANTS]
    for name in ("lambda", "attention"):
        rows.append([f"{name}: KiB kept for each further image, {SIDE} x {SIDE} places",
                     f"{per_image(found[0][name]) / 1024:,.0f}"])  # fmt: skip
    return Table(["what a lambda is made of", "accuracy"], rows)


def picture(found: Sequence[Figures]) -> str:
    lines = [
        Line(
            shown, [(float(b), size / 2**20) for b, size in zip(BATCHES, found[0][key], strict=True)], colour, dots=True
        )
        for key, shown, colour in (
            ("lambda", "lambda layer", "blue"),
            ("attention", "attention by its equation", "orange"),
        )
    ]
    return chart("Kept for the backward pass", lines, "images of a batch", "MiB", zero=True)


CLAIM = Claim(
    name="lambdas",
    says="In a lambda layer position does most of the work and content adds little, the scope matters little, and a further "
         "image of the batch brings no map of all pairs.",
    source="Bello 2021, tables 2, 7, 8 and section 4",
    url="https://arxiv.org/abs/2102.08602",
    paper=Table(["ResNet-50, ImageNet", "paper"],
                [["content alone", "68.8 %"], ["position alone", "78.1 %"], ["both", "78.4 %"],
                 ["scope of 3, 7, 23", "77.6, 78.2, 78.5 %"],
                 ["memory: lambda layer against global attention", "1.9 GB against 120 GB"]]),
    setup=f"A LambdaResNet of three blocks and width 24, {STEPS} updates of 64 of {COUNT:,} images (the embedded digits, or "
          f"--data); memory of single layers on {SIDE} x {SIDE} places.",
    rule=f"Position alone is above content alone by the whole interval; with content, and with a scope of 7, accuracy "
         f"changes by less than {ALIKE:.0%} of the images; a further image keeps under a tenth of what attention's does.",
    cost="15 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
