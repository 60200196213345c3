"""A ViT that cuts with convolutions: the paper's hybrid, which helps while the model is small."""

from collections.abc import Sequence

import torch

from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.images import Pictures, accuracy, parameters, pictures, trained
from allyouneed.lab.interval import above, interval
from allyouneed.lab.training import part
from allyouneed.models.vit import VitConfig, vit
from allyouneed.tracing.chart import Line, chart

STEMS, GRID, STEPS = ("patch", "conv"), 4, 1500


def config(found: Pictures, stem: str) -> VitConfig:
    wide = 64 if stem == "conv" else 68  # so that convolutions are paid for by the width
    return VitConfig(**found.numbers(), patch=found.side // GRID, dim=wide, heads=4, ffn_dim=2 * wide, depth=4,
                     dropout=0.0, positions="sincos", pool="mean", stem=stem)  # type: ignore[arg-type]  # fmt: skip


def measure(trial: Trial) -> Figures:
    """Accuracy and parameters with one product for each patch, and with convolutions in its place."""
    found = pictures(trial, 4000, GRID)
    out: dict[str, float] = {}
    for i, stem in enumerate(STEMS):
        torch.manual_seed(trial.seed)
        numbers = config(found, stem)
        model = trained(vit(numbers), found, trial, STEPS, part(trial.tick, i, len(STEMS)), numbers.dim, "shift")
        out[stem] = accuracy(model, found)
        out[f"{stem} parameters"] = parameters(lambda: vit(numbers))  # noqa: B023
    return out


def judge(found: Sequence[Figures]) -> Verdict:
    gain = [f["conv"] - f["patch"] for f in found]
    return Verdict(above(gain), f"convolutions before the patches gain {interval(gain)} of the images")


def table(found: Sequence[Figures]) -> Table:
    shown = {"patch": "one product for each patch", "conv": "3x3 convolutions"}
    rows = [
        [shown[stem], f"{found[0][f'{stem} parameters']:,}", str(interval([f[stem] for f in found]))] for stem in STEMS
    ]
    return Table(["stem", "parameters", "accuracy"], rows)


def picture(found: Sequence[Figures]) -> str:
    lines = [
        Line(stem, [(float(i), f[stem]) for i, f in enumerate(found, 1)], colour, dots=True)
        for stem, colour in zip(STEMS, ("blue", "orange"), strict=True)
    ]
    return chart("Accuracy by stem", lines, "seed", "share of held-out images")


CLAIM = Claim(
    name="stems",
    says="A hybrid, whose patches come from convolutions, is ahead of a pure Vision Transformer at small budgets.",
    source="Dosovitskiy et al. 2021, section 4.4, figure 5",
    url="https://arxiv.org/abs/2010.11929",
    paper=Table(["budget", "hybrid against ViT"], [["small", "slightly ahead"], ["large", "no difference"]]),
    setup=f"ViTs of 4 layers and about equal parameters on {GRID} x {GRID} patches, {STEPS:,} updates, shifts; the stem is "
          "one product or 3x3 convolutions (no ResNet); the embedded digits, or --data up to 4,000 images.",
    rule="The accuracy with convolutions is above that without by the whole interval.",
    cost="6 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
