"""Deep Residual Learning for Image Recognition. He et al. 2015, https://arxiv.org/abs/1512.03385

image -> stem -> residual blocks of convolutions, the map halved and widened stage by stage -> mean over the map -> logits.

The plain rival of the models that came after. The default is a small one for images of a few dozen pixels.
"""

from typing import Literal

from pydantic import Field
from torch import nn

from allyouneed.nn.classifier import MapClassifier
from allyouneed.nn.resnet import (
    NORMS,
    Place,
    ResNet,
    basic,
    bottleneck,
    imagenet_stem,
    init_convolutions,
    small_stem,
    stages,
)
from allyouneed.nn.stochastic_depth import rising
from allyouneed.settings import Settings

LETTERS = {"b": 1, "c": 4}  # basic block, bottleneck; how much wider than its stage its output is


class CnnConfig(Settings):
    """The numbers of a residual network. The defaults are the preset `small`."""

    classes: int = Field(10, ge=1, description="Classes; set from the data.")
    channels: int = Field(1, ge=1, description="Channels of an image; set from the data.")
    image_size: int = Field(28, ge=1, description="Side of an image in pixels; set from the data. Any size will do.")
    dim: int = Field(48, ge=1, description="Width of the first stage; each later stage doubles it.")
    order: str = Field(
        "b-bb-bb", pattern="^[bc]+(-[bc]+)*$", description="Blocks by letter (b basic, c bottleneck), stages by dash."
    )
    stem: Literal["small", "imagenet"] = Field(
        "small", description="3x3 at full size, or 7x7 and a maximum: a quarter."
    )
    norm: Literal["live", "frozen", "group"] = Field("live", description="BatchNorm, the same fixed, or GroupNorm.")
    dropout: float = Field(0.0, ge=0, lt=1, description="On the vector that the head reads.")
    stochastic_depth: float = Field(0.0, ge=0, lt=1, description="Chance that the last block is left out in training.")


_IMAGENET = dict(dim=64, stem="imagenet", image_size=224, channels=3, classes=1000)

PRESETS = {
    "small": CnnConfig(),
    "tiny": CnnConfig(dim=16, order="b-b-b"),
    "resnet18": CnnConfig(order="bb-bb-bb-bb", **_IMAGENET),
    "resnet50": CnnConfig(order="ccc-cccc-cccccc-ccc", **_IMAGENET),
}


def orders(c: CnnConfig) -> tuple[str, ...]:
    return (c.order,)


def cnn(c: CnnConfig) -> MapClassifier:
    """A residual network that classifies."""
    norm = NORMS[c.norm]
    rates = rising(c.stochastic_depth, sum(letter in LETTERS for letter in c.order))

    def small(at: Place) -> nn.Module:
        return basic(at, norm, next(rates))

    def large(at: Place) -> nn.Module:
        return bottleneck(at, norm, next(rates))

    stem, reduction = (small_stem, 1) if c.stem == "small" else (imagenet_stem, 4)
    trunk = ResNet(
        stem(c.channels, c.dim, norm), stages(c.order, c.dim, c.dim, reduction, {"b": small, "c": large}, LETTERS)
    )
    model = MapClassifier(trunk, (c.dim << c.order.count("-")) * LETTERS[c.order[-1]], c.classes, c.dropout)
    init_convolutions(model)
    return model
