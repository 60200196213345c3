"""ViT against a CNN as the data grows: what a convolution knows beforehand, attention must learn."""

from collections.abc import Sequence

import torch

from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.images import accuracy, parameters, pictures, trained
from allyouneed.lab.interval import above, interval, together
from allyouneed.lab.training import part
from allyouneed.models.cnn import CnnConfig, cnn
from allyouneed.models.vit import VitConfig, vit
from allyouneed.tracing.chart import Line, chart

COUNTS, STEPS, GRID = (100, 300, 1000, 4000), 1200, 4


def measure(trial: Trial) -> Figures:
    """Accuracy of both by the number of training images, at equal updates; their numbers of parameters."""
    counts = COUNTS[:2] if trial.quick else COUNTS
    shares: dict[str, list[float]] = {"vit": [], "cnn": []}
    sizes: list[int] = []
    for i, count in enumerate(counts):
        found = pictures(trial, count, GRID)
        if sizes and len(found.train) == sizes[-1]:
            break  # the data has no more
        sizes.append(len(found.train))
        models = {
            "vit": lambda: vit(VitConfig(**found.numbers(), patch=found.side // GRID, dim=64, heads=4, ffn_dim=128,  # noqa: B023
                                         depth=4, dropout=0.0, positions="sincos", pool="mean")),
            "cnn": lambda: cnn(CnnConfig(**found.numbers(), dim=22, order="b-b-b")),  # noqa: B023
        }  # fmt: skip
        for j, (name, build) in enumerate(models.items()):
            torch.manual_seed(trial.seed)
            tick = part(trial.tick, 2 * i + j, 2 * len(counts))
            shares[name].append(accuracy(trained(build(), found, trial, STEPS, tick, 64, "shift"), found))
    return {**shares, "images": sizes, "parameters": [parameters(build) for build in models.values()]}


def leads(found: Sequence[Figures], at: int) -> list[float]:
    return [f["cnn"][at] - f["vit"][at] for f in found]


def judge(found: Sequence[Figures]) -> Verdict:
    first, last = leads(found, 0), leads(found, -1)
    shrinks = [a - b for a, b in zip(first, last, strict=True)]
    sizes = found[0]["images"]
    return Verdict(
        together([above(first), above(shrinks)]),
        f"the CNN is ahead by {interval(first)} of the images with {sizes[0]:,} to learn from and by {interval(last)} with "
        f"{sizes[-1]:,}; the lead shrinks by {interval(shrinks)}",
    )


def table(found: Sequence[Figures]) -> Table:
    rows = []
    for i, count in enumerate(found[0]["images"]):
        rows.append([f"{count:,}", *(str(interval([f[name][i] for f in found])) for name in ("vit", "cnn"))])
    names = [f"{name}, {size:,} parameters" for name, size in zip(("ViT", "CNN"), found[0]["parameters"], strict=True)]
    return Table(["training images", *names], rows)


def picture(found: Sequence[Figures]) -> str:
    lines = [
        Line(shown, [(float(c), interval([f[name][i] for f in found]).mean) for i, c in enumerate(found[0]["images"])],
             colour, dots=True)
        for name, shown, colour in (("vit", "ViT", "blue"), ("cnn", "CNN", "orange"))
    ]  # fmt: skip
    return chart("Accuracy by the number of training images", lines, "training images", "share of held-out images")


CLAIM = Claim(
    name="crossover",
    says="With few images a convolutional network is ahead of a Vision Transformer, and the gap closes as the data grows.",
    source="Dosovitskiy et al. 2021, section 4.3, figures 3 and 4",
    url="https://arxiv.org/abs/2010.11929",
    paper=Table(["pre-trained on", "ViT-B/16, ImageNet", "ViT-L/16, ImageNet"],
                [["ImageNet, 1.3 M images", "77.9 %", "76.5 %"], ["ImageNet-21k, 14 M", "84.0 %", "85.2 %"],
                 ["JFT, 303 M", "84.2 %", "87.1 %"]]),
    setup=f"A ViT (width 64, 4 layers) and a small residual network of about as many parameters, {STEPS:,} updates of 64 "
          "images, shifts as augmentation, no pre-training; the embedded digits, or --data up to 4,000 images.",
    rule="With the fewest images the CNN is ahead by the whole interval, and its lead is smaller with the most.",
    cost="20 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
