"""ViT at another resolution: positions are interpolated by where they lie."""

from collections.abc import Sequence

import torch
from torch import nn

from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.images import Pictures, accuracy, pictures, trained
from allyouneed.lab.interval import above, interval, together
from allyouneed.lab.training import part
from allyouneed.models.vit import VitConfig, at_resolution, vit
from allyouneed.tracing.chart import Line, chart

GRID, LARGER, STEPS, AFTER = 4, 6, 1500, 60
WAYS = ("interpolated", "new")


def config(found: Pictures) -> VitConfig:
    return VitConfig(**found.numbers(), patch=found.side // GRID, dim=64, heads=4, ffn_dim=128, depth=4, dropout=0.0,
                     pool="mean")  # fmt: skip


def measure(trial: Trial) -> Figures:
    """Accuracy on larger images of a model trained on smaller ones: at once, and after a few updates."""
    small = pictures(trial, 4000, GRID)
    large = pictures(trial, 4000, side=small.side // GRID * LARGER)
    large = large._replace(learning=large.learning._replace(mean=small.learning.mean, std=small.learning.std))
    torch.manual_seed(trial.seed)
    numbers = config(small)
    model = trained(vit(numbers), small, trial, STEPS, part(trial.tick, 0, 3), 64)
    out: dict[str, float] = {"before": accuracy(model, small)}
    for i, way in enumerate(WAYS):
        other, _ = at_resolution(model, numbers, large.side)  # type: ignore[arg-type]
        if way == "new":
            _fresh_positions(other)
        out[way] = accuracy(other, large)
        tuned = trained(other, large, trial, AFTER, part(trial.tick, i + 1, 3), 64, rate=3e-4)
        out[f"{way}, tuned"] = accuracy(tuned, large)
    return out


def _fresh_positions(model: nn.Module) -> None:
    """The table as it is at the beginning of training: N(0, 0.0004)."""
    nn.init.normal_(model.get_parameter("source.positions.table"), std=0.02)


def judge(found: Sequence[Figures]) -> Verdict:
    at_once = [f["interpolated"] - f["new"] for f in found]
    after = [f["interpolated, tuned"] - f["new, tuned"] for f in found]
    narrows = [a - b for a, b in zip(at_once, after, strict=True)]
    return Verdict(
        together([above(at_once), above(narrows)]),
        f"interpolated positions are ahead of new ones by {interval(at_once)} of the images at once, and by "
        f"{interval(after)} after {AFTER} updates",
    )


def table(found: Sequence[Figures]) -> Table:
    before = ["before, at the size of training", str(interval([f["before"] for f in found])), "–"]
    rows = [
        [f"{way} positions", *(str(interval([f[key] for f in found])) for key in (way, f"{way}, tuned"))]
        for way in WAYS
    ]
    return Table(["", "accuracy at once", f"after {AFTER} updates"], [before, *rows])


def picture(found: Sequence[Figures]) -> str:
    lines = [
        Line(way, [(0.0, interval([f[way] for f in found]).mean),
                   (float(AFTER), interval([f[f"{way}, tuned"] for f in found]).mean)], colour, dots=True)
        for way, colour in zip(WAYS, ("blue", "orange"), strict=True)
    ]  # fmt: skip
    return chart("Accuracy on larger images", lines, "updates at the new size", "share of held-out images")


CLAIM = Claim(
    name="resolution",
    says="A Vision Transformer goes on at another resolution when its positions are interpolated by their places; with new "
         "positions it has to learn them first.",
    source="Dosovitskiy et al. 2021, section 3.2",
    url="https://arxiv.org/abs/2010.11929",
    paper=Table(["quantity", "paper"], [["fine-tuning at 384 or 512 after 224", "interpolates, no figures without"]]),
    setup=f"A ViT of width 64 and 4 layers learns {GRID} x {GRID} patches for {STEPS:,} updates and then reads images one "
          f"and a half times as large in {LARGER} x {LARGER} patches of the same side; digits, or 4,000 images of --data.",
    rule="At once, interpolated positions are ahead by the whole interval; after some updates the gap is smaller.",
    cost="6 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
