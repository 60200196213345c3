"""SPACH: convolution, attention and MLP as the mixer of one frame."""

from collections.abc import Mapping, Sequence

import torch

from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.images import accuracy, parameters, pictures, trained
from allyouneed.lab.interval import above, interval, together
from allyouneed.lab.training import part
from allyouneed.models.spach import SpachConfig, spach
from allyouneed.tracing.chart import Line, chart

GRID, STEPS, COUNT, DEPTH = 8, 700, 2000, 8
SINGLE: Mapping[str, object] = {"dim": 48, "heads": 4, "ratio": 2}
STAGED: Mapping[str, object] = {"dim": 36, "heads": 4, "ratio": 2}
VARIANTS: Mapping[str, Mapping[str, object]] = {
    "convolution": {**SINGLE, "order": "p" * DEPTH},
    "attention": {**SINGLE, "order": "a" * DEPTH},
    "MLP": {**SINGLE, "order": "m" * DEPTH},
    "attention, no bypass": {**SINGLE, "order": "a" * DEPTH, "bypass": False},
    "MLP, no bypass": {**SINGLE, "order": "m" * DEPTH, "bypass": False},
    "MLP, shared": {**SINGLE, "order": "m" * DEPTH, "shared": True},
    "MLP, stages": {**STAGED, "order": "m" * (DEPTH // 2) + "-" + "m" * (DEPTH // 2)},
    "convolution, then attention": {**SINGLE, "order": "p" * (DEPTH // 2) + "a" * (DEPTH // 2)},
}


def measure(trial: Trial) -> Figures:
    """Accuracy on held-out and on training images, and parameters, of each variant."""
    found = pictures(trial, COUNT, GRID)
    out: dict[str, object] = {}
    for i, (name, numbers) in enumerate(VARIANTS.items()):
        torch.manual_seed(trial.seed)
        config = SpachConfig(**{**found.numbers(), "patch": found.side // GRID, **numbers})
        model = trained(spach(config), found, trial, STEPS, part(trial.tick, i, len(VARIANTS)), config.dim, rate=2e-3)
        seen = accuracy(model, found, found.train)
        size = parameters(lambda: spach(config))  # noqa: B023
        out[name] = {"held out": accuracy(model, found), "seen": seen, "parameters": size}
    return out


def shares(found: Sequence[Figures], name: str, key: str = "held out") -> list[float]:
    return [f[name][key] for f in found]


def gain(found: Sequence[Figures], better: str, worse: str) -> list[float]:
    return [a - b for a, b in zip(shares(found, better), shares(found, worse), strict=True)]


def gap(found: Sequence[Figures], name: str) -> list[float]:
    return [a - b for a, b in zip(shares(found, name, "seen"), shares(found, name), strict=True)]


def comparisons(found: Sequence[Figures]) -> dict[str, list[float]]:
    """What the paper says, each as a number that should be above zero."""
    overfits = [a - b for a, b in zip(gap(found, "MLP"), gap(found, "convolution"), strict=True)]
    return {
        "the local bypass gives attention": gain(found, "attention", "attention, no bypass"),
        "and the MLP": gain(found, "MLP", "MLP, no bypass"),
        "the MLP's gap between seen and held-out images exceeds the convolution's by": overfits,
        "shared mixers give the MLP": gain(found, "MLP, shared", "MLP"),
        "stages give the MLP": gain(found, "MLP, stages", "MLP"),
        "convolution before attention gives, over attention": gain(found, "convolution, then attention", "attention"),
    }


def judge(found: Sequence[Figures]) -> Verdict:
    compared = comparisons(found)
    said = "; ".join(f"{what} {interval(values)} ({above(values)})" for what, values in compared.items())
    return Verdict(together([above(values) for values in compared.values()]), f"in shares of the images: {said}")


def table(found: Sequence[Figures]) -> Table:
    rows = [
        [name, f"{found[0][name]['parameters']:,}", str(interval(shares(found, name))),
         str(interval(shares(found, name, "seen")))]
        for name in VARIANTS
    ]  # fmt: skip
    return Table(["mixer", "parameters", "accuracy, held out", "accuracy, training images"], rows)


def picture(found: Sequence[Figures]) -> str:
    lines = [
        Line(shown, [(float(i), interval(shares(found, name, key)).mean) for i, name in enumerate(VARIANTS, 1)], colour,
             dots=True, joined=False)
        for key, shown, colour in (("held out", "held out", "blue"), ("seen", "training images", "orange"))
    ]  # fmt: skip
    return chart("Accuracy by mixer, in the order of the table", lines, "row of the table", "share of images")


CLAIM = Claim(
    name="structures",
    says="In one frame, a local bypass helps attention and MLP, the MLP over-fits most and gains by shared weights and by "
         "stages, and convolution before attention is better than attention alone.",
    source="Zhao et al. 2021, sections 4.2 to 4.5",
    url="https://arxiv.org/abs/2108.13002",
    paper=Table(["comparison", "paper, ImageNet"],
                [["stages over one stage, MLP", "+2.6 points"], ["local bypass", "notable, at next to no cost"],
                 ["shared weights, MLP", "higher at equal size"], ["hybrid", "best of all"]]),
    setup=f"{DEPTH} blocks of width {SINGLE['dim']} on {GRID} x {GRID} patches, {STEPS} updates of 64 of {COUNT:,} images "
          "without augmentation; the embedded digits (fewer images), or --data.",
    rule="Each of the six comparisons is above zero by its whole interval; one that is below decides against the claim.",
    cost="25 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
