"""ViT: that there are positions matters, and which kind hardly does."""

from collections.abc import Sequence

import torch

from allyouneed.data.augment import normalised
from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.images import Pictures, accuracy, pictures, trained
from allyouneed.lab.interval import above, interval, together, within
from allyouneed.lab.training import part
from allyouneed.models.vit import VitConfig, vit
from allyouneed.tracing.chart import Line, chart

KINDS = ("none", "1d", "2d", "relative", "sincos")
GRID, STEPS, ALIKE = 4, 1500, 0.02


def config(found: Pictures, kind: str) -> VitConfig:
    return VitConfig(**found.numbers(), patch=found.side // GRID, dim=64, heads=4, ffn_dim=128, depth=4, dropout=0.0,
                     positions=kind, pool="mean")  # type: ignore[arg-type]  # fmt: skip


def measure(trial: Trial) -> Figures:
    """Accuracy by kind of positions, and how far the answers move when the patches change places."""
    found = pictures(trial, 4000, GRID)
    out: dict[str, object] = {}
    for i, kind in enumerate(KINDS):
        torch.manual_seed(trial.seed)
        model = trained(vit(config(found, kind)), found, trial, STEPS, part(trial.tick, i, len(KINDS)), 64)
        out[kind] = accuracy(model, found)
        out[f"{kind} moved"] = moved(model, found)
    return out


@torch.no_grad()
def moved(model: torch.nn.Module, found: Pictures) -> float:
    """The largest change of a probability when all patches of an image change places."""
    rows = range(min(64, len(found.val)))
    images = normalised(
        torch.from_numpy(found.val.pixels(torch.tensor(rows).numpy()).images), found.learning.mean, found.learning.std
    )
    patch, order = found.side // GRID, torch.randperm(GRID * GRID)
    cut = images.unfold(2, patch, patch).unfold(3, patch, patch)  # b c y x p q
    cut = cut.flatten(2, 3)[:, :, order].unflatten(2, (GRID, GRID))
    shuffled = cut.permute(0, 1, 2, 4, 3, 5).reshape(images.shape)
    return float((model(images).softmax(-1) - model(shuffled).softmax(-1)).abs().max())


def gains(found: Sequence[Figures], kind: str, over: str) -> list[float]:
    return [f[kind] - f[over] for f in found]


def judge(found: Sequence[Figures]) -> Verdict:
    better = [above(gains(found, kind, "none")) for kind in KINDS[1:]]
    alike = [within(gains(found, kind, "1d"), -ALIKE, ALIKE) for kind in KINDS[2:]]
    still = max(f["none moved"] for f in found)
    word = together([*better, *alike, above([1e-4 - f["none moved"] for f in found])])
    said = ", ".join(f"{kind} {interval(gains(found, kind, 'none'))}" for kind in KINDS[1:])
    return Verdict(word, f"above no positions by, in shares of the images: {said}; without positions no order of patches "
                         f"moves a probability by more than {still:.0e}")  # fmt: skip


def table(found: Sequence[Figures]) -> Table:
    rows = [
        [kind, str(interval([f[kind] for f in found])), f"{max(f[f'{kind} moved'] for f in found):.1e}"]
        for kind in KINDS
    ]
    return Table(["positions", "accuracy", "largest change when patches change places"], rows)


def picture(found: Sequence[Figures]) -> str:
    lines = [
        Line(kind, [(float(i), f[kind]) for i, f in enumerate(found, 1)], colour, dots=True, dashed=kind == "none")
        for kind, colour in zip(KINDS, ("orange", "blue", "green", "purple", "orange"), strict=True)
    ]
    return chart("Accuracy by kind of positions", lines, "seed", "share of held-out images")


CLAIM = Claim(
    name="places",
    says="A Vision Transformer needs some sign of place, and no kind of it is clearly better; without any, the order of "
         "the patches means nothing.",
    source="Dosovitskiy et al. 2021, appendix D.4, table 8",
    url="https://arxiv.org/abs/2010.11929",
    paper=Table(["positions", "ImageNet, 5-shot linear"],
                [["none", "61.4 %"], ["1-D learned", "64.2 %"], ["2-D learned", "64.0 %"], ["relative", "64.0 %"]]),
    setup=f"A ViT of width 64 and 4 layers on {GRID} x {GRID} patches, {STEPS:,} updates of 64 images: the embedded digits, "
          "or the first 4,000 of --data.",
    rule=f"Every kind is above none by the whole interval; the kinds differ from learned 1-D by less than {ALIKE:.0%} of "
         "the images; without positions no order of patches moves a probability by 0.0001.",
    cost="12 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
