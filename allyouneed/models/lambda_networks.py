"""LambdaNetworks: Modeling Long-Range Interactions Without Attention. Bello 2021, https://arxiv.org/abs/2102.08602

image -> stem -> bottlenecks, in some of which a lambda layer stands for the 3x3 convolution -> mean over the map -> logits.
"""

from collections import OrderedDict
from typing import Literal

from pydantic import Field, model_validator
from torch import nn

from allyouneed.nn.classifier import MapClassifier
from allyouneed.nn.grid import whole
from allyouneed.nn.lambda_layer import LambdaLayer
from allyouneed.nn.resnet import (
    Place,
    ResNet,
    SqueezeExcite,
    bottleneck,
    half_stem,
    imagenet_stem,
    init_convolutions,
    small_stem,
    stages,
)
from allyouneed.nn.stems import deep_stem
from allyouneed.nn.stochastic_depth import rising
from allyouneed.settings import Settings

STEMS = {"small": (small_stem, 1), "half": (half_stem, 2), "imagenet": (imagenet_stem, 4), "deep": (deep_stem, 4)}


class LambdaConfig(Settings):
    """The numbers of a LambdaResNet. The defaults are the preset `small`, for images of a few dozen pixels."""

    classes: int = Field(10, ge=1, description="Classes; set from the data.")
    channels: int = Field(1, ge=1, description="Channels of an image; set from the data.")
    image_size: int = Field(28, ge=1, description="Side of an image in pixels; set from the data.")
    dim: int = Field(64, ge=1, description="Width of the first stage's bottlenecks; each later stage doubles it.")
    order: str = Field(
        "cl-cl", pattern="^[cel]+(-[cel]+)*$",
        description="Blocks by letter (c convolution, e the same with squeeze-excite, l lambda), stages by dash.",
    )  # fmt: skip
    stem: Literal["small", "half", "imagenet", "deep"] = Field(
        "half",
        description="3x3 (small), with stride 2 (half), 7x7 and a maximum, or four 3x3 (ResNet-RS): a quarter.",
    )
    heads: int = Field(4, ge=1, description="Queries per place, which share its lambda.")
    key_dim: int = Field(16, ge=1, description="Width of queries and keys, k in the paper.")
    intra: int = Field(1, ge=1, description="Intra-depth, u: lambdas made of as many keys and values per place.")
    scope: int | None = Field(None, ge=1, description="Side of the square that a place sees by position; none: all.")
    sees: Literal["both", "content", "position"] = Field("both", description="What a lambda is made of.")
    dropout: float = Field(0.0, ge=0, lt=1, description="On the vector that the head reads.")
    stochastic_depth: float = Field(0.0, ge=0, lt=1, description="Chance that the last block is left out in training.")

    @model_validator(mode="after")
    def _fits(self) -> "LambdaConfig":
        if "l" in self.order and self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not divisible by heads {self.heads}")
        if self.scope is not None and self.scope % 2 == 0:
            raise ValueError(f"scope {self.scope} has no middle; it has to be odd")
        return self


def _resnet(order: str, stem: str = "imagenet", **more: object) -> LambdaConfig:
    given = dict(image_size=224, channels=3, classes=1000, dim=64, scope=23, order=order, stem=stem)
    return LambdaConfig(**{**given, **more})  # type: ignore[arg-type]


def _hybrid(blocks: tuple[int, int, int, int], lambdas: tuple[int, ...]) -> LambdaConfig:
    """Appendix E: lambda layers in all of the last stage and at some blocks of the one before, counted from 1."""
    third = "".join("l" if i + 1 in lambdas else "e" for i in range(blocks[2]))
    return _resnet("-".join(("e" * blocks[0], "e" * blocks[1], third, "l" * blocks[3])), "deep")


PRESETS = {
    "small": LambdaConfig(),
    # Table 3 of the paper: a ResNet-50, all of its 3x3 convolutions replaced, and its rivals.
    "resnet50": _resnet("ccc-cccc-cccccc-ccc"),
    "resnet50-se": _resnet("eee-eeee-eeeeee-eee"),
    "lambda50": _resnet("lll-llll-llllll-lll"),
    "lambda50-u4": _resnet("lll-llll-llllll-lll", intra=4, scope=7),
    # The LambdaResNets of figure 3. 26 is timm's.
    "lambda-resnet26": _resnet("cc-cc-cl-cl", "deep"),
    "lambda-resnet50": _hybrid((3, 4, 6, 3), (3,)),
    "lambda-resnet101": _hybrid((3, 4, 23, 3), (6, 12, 18)),
    "lambda-resnet152": _hybrid((3, 8, 36, 3), (5, 10, 15, 20, 25, 30)),
    "lambda-resnet200": _hybrid((3, 24, 36, 3), (5, 10, 15, 20, 25, 30)),
    "lambda-resnet270": _hybrid((4, 29, 53, 4), (8, 16, 24, 32, 40, 48)),
    "lambda-resnet350": _hybrid((4, 36, 72, 4), (10, 20, 30, 40, 50, 60)),
    "lambda-resnet420": _hybrid((4, 44, 87, 4), (10, 20, 30, 40, 50, 60, 70, 80)),
}


def orders(c: LambdaConfig) -> tuple[str, ...]:
    return (c.order,)


def lambda_network(c: LambdaConfig) -> MapClassifier:
    """A residual network with lambda layers."""
    rates = rising(c.stochastic_depth, len(c.order.replace("-", "")))

    def plain(at: Place) -> nn.Module:
        return bottleneck(at, nn.BatchNorm2d, next(rates))

    def excited(at: Place) -> nn.Module:
        block = bottleneck(at, nn.BatchNorm2d, next(rates))
        block.branch.add_module("excite", SqueezeExcite(4 * at.dim))
        return block

    def mixed(at: Place) -> nn.Module:
        return bottleneck(at, nn.BatchNorm2d, next(rates), middle(at, c))

    stem, reduction = STEMS[c.stem]
    makers = {"c": plain, "e": excited, "l": mixed}
    trunk = ResNet(
        stem(c.channels, c.dim, nn.BatchNorm2d),
        stages(c.order, c.dim, c.dim, reduction, makers, dict.fromkeys(makers, 4)),
    )
    init_convolutions(trunk)
    return MapClassifier(trunk, 4 * c.dim << c.order.count("-"), c.classes, c.dropout)


def middle(at: Place, c: LambdaConfig) -> nn.Module:
    """A lambda layer; where the stage halves the map, a mean over 3x3 with stride 2 after it (appendix E)."""
    side = -(-c.image_size // at.reduction)  # rounded up, as convolutions with padding do
    scope = (c.scope, c.scope) if c.scope else whole((side, side))
    layer = LambdaLayer(at.dim, c.heads, c.key_dim, c.intra, scope, c.sees)
    return nn.Sequential(OrderedDict(mix=layer, pool=nn.AvgPool2d(3, 2, 1))) if at.stride == 2 else layer
