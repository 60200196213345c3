"""A Battle of Network Structures. Zhao et al. 2021, https://arxiv.org/abs/2108.13002

image -> patches, each a vector -> blocks of (a mixer of places, an MLP over channels), stage by stage
-> norm -> mean -> logits.

One frame, "SPACH", in which convolution, attention and MLP differ in the mixer alone. A stage's letters say which:
a attention, m MLP over the places, p none ("pass"), in which case the local bypass is all that mixes: the convolution.
"""

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from allyouneed.nn.attention import SelfAttention
from allyouneed.nn.classifier import ImageClassifier, MeanToken, zero_head
from allyouneed.nn.feedforward import FeedForward
from allyouneed.nn.grid import Grid
from allyouneed.nn.layer import Context, Layer
from allyouneed.nn.patches import Patches, grid_side, to_map, to_tokens
from allyouneed.nn.resnet import init_convolutions
from allyouneed.nn.stack import Stack
from allyouneed.nn.stems import wide_stem
from allyouneed.nn.stochastic_depth import Branch, StochasticDepth, rising
from allyouneed.nn.token_mlp import TokenMLP
from allyouneed.nn.wrap import Norm, layer_norm
from allyouneed.settings import Settings


class SpachConfig(Settings):
    """The numbers of a SPACH network. The defaults are the preset `small`, for images of a few dozen pixels."""

    classes: int = Field(10, ge=1, description="Classes; set from the data.")
    channels: int = Field(1, ge=1, description="Channels of an image; set from the data.")
    image_size: int = Field(28, ge=1, description="Side of an image in pixels; set from the data.")
    patch: int = Field(2, ge=1, description="Side of a patch in pixels; with each later stage it doubles.")
    dim: int = Field(64, ge=1, description="Width of the first stage; each later stage doubles it.")
    order: str = Field(
        "ppp-aaaaaa", pattern="^[pam]+(-[pam]+)*$", description="Blocks by letter (p, a, m), stages by dash."
    )
    heads: int = Field(4, ge=1, description="Attention heads, the same number in every stage.")
    ratio: int = Field(3, ge=1, description="Inner width of the MLP over channels, in widths.")
    token_ratio: float = Field(0.5, gt=0, description="Inner width of the MLP over places, in places.")
    bypass: bool = Field(True, description="A 3x3 convolution of each channel beside every mixer: the local bypass.")
    shared: bool = Field(False, description="One mixer's weights for all blocks of a stage.")
    stem: Literal["patch", "conv4"] = Field("patch", description="One product per patch, or convolutions before it.")
    layer_scale: float = Field(1e-4, gt=0, description="Where the learned factor on a mixer's output begins.")
    eps: float = Field(1e-6, gt=0, description="LayerNorm's epsilon.")
    dropout: float = Field(0.0, ge=0, lt=1, description="On the output of mixers and MLPs.")
    stochastic_depth: float = Field(
        0.0, ge=0, lt=1, description="Chance that a block is left out in training; with stages it rises to this."
    )

    @model_validator(mode="after")
    def _fits(self) -> "SpachConfig":
        if "a" in self.order and self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not divisible by heads {self.heads}")
        return self


def _size(dim: int, heads: int, ratio: int, order: str, **more: object) -> SpachConfig:
    given = dict(image_size=224, channels=3, classes=1000, patch=4 if "-" in order else 16)
    return SpachConfig(**{**given, **dict(dim=dim, heads=heads, ratio=ratio, order=order), **more})  # type: ignore[arg-type]


def _stages(letter: str, counts: tuple[int, ...]) -> str:
    """Stages of one mixer; the first, of many places, has none."""
    return "-".join(("p" if i == 0 else letter) * count for i, count in enumerate(counts))


PRESETS = {
    "small": SpachConfig(),
    **{
        f"{size}-{name}": _size(dim, heads, ratio, letter * count)
        for size, name, letter, dim, heads, ratio, count in (
            ("xxs", "conv", "p", 384, 12, 2, 12), ("xxs", "attn", "a", 192, 6, 2, 12), ("xxs", "mlp", "m", 384, 12, 2, 12),
            ("xs", "conv", "p", 384, 12, 2, 24), ("xs", "attn", "a", 384, 12, 2, 12), ("xs", "mlp", "m", 384, 12, 2, 24),
            ("s", "conv", "p", 512, 16, 3, 24), ("s", "attn", "a", 512, 16, 3, 12), ("s", "mlp", "m", 512, 16, 3, 24),
        )
    },
    **{
        f"ms-{size}-{name}": _size(dim, heads, ratio, _stages(letter, counts))
        for size, ratio, counts, rows in (
            ("xxs", 2, (2, 2, 6, 2), (("conv", "p", 64, 2), ("attn", "a", 32, 1), ("mlp", "m", 64, 2))),
            ("xs", 2, (3, 4, 12, 3), (("conv", "p", 96, 3), ("attn", "a", 64, 2), ("mlp", "m", 96, 3))),
            ("s", 3, (3, 4, 12, 3), (("conv", "p", 128, 4), ("attn", "a", 96, 3), ("mlp", "m", 128, 4))),
        )
        for name, letter, dim, heads in rows
    },
    "ms-s-mlp-shared": _size(128, 4, 3, _stages("m", (3, 4, 12, 3)), shared=True),
    "hybrid-ms-xs": _size(96, 3, 2, "ppp-pppp-ppaaaaaaaaaa-paa"),
    "hybrid-ms-s": _size(128, 4, 3, "ppp-ppaa-ppaaaaaaaaaa-paa"),
    "hybrid-ms-s+": _size(128, 4, 3, "ppp-ppaa-ppaaaaaaaaaa-paa", stem="conv4"),
}  # fmt: skip
"""The code's registry, and the paper's hybrids."""


class Local(nn.Module):
    """A 3x3 convolution of each channel by itself over the grid: `b n d -> b n d`."""

    def __init__(self, dim: int, grid: Grid):
        super().__init__()
        self.grid = grid
        self.conv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        return to_tokens(self.conv(to_map(x, self.grid)))


class Mixing(Layer):
    """x + scale * mixer(norm(x)) + local(x). The trap: the bypass reads x as it is, not its norm."""

    def __init__(self, branch: Layer | None, local: nn.Module | None):
        super().__init__()
        self.branch = branch
        self.local = local

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n d
        mixed = x if self.branch is None else self.branch(x, context)
        return mixed if self.local is None else mixed + self.local(x)


class Downsample(Layer):
    """Between stages: four neighbours become one token of twice the width, `b n d -> b n/4 2d`."""

    def __init__(self, dim: int, grid: Grid):
        super().__init__()
        self.grid = grid
        self.conv = nn.Conv2d(dim, 2 * dim, 2, 2, bias=False)
        self.norm = nn.GroupNorm(1, 2 * dim)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        return to_tokens(self.norm(self.conv(to_map(x, self.grid)))).to(x.dtype)


class Builder:
    """Makes the layers of an order one after the other, and so knows the width and the grid where each stands."""

    def __init__(self, c: SpachConfig, side: int):
        self.c, self.dim, self.side = c, c.dim, side
        self.mixers: dict[str, Layer] = {}  # of this stage, where they are shared
        blocks = len(c.order.replace("-", ""))
        rising_rates = rising(c.stochastic_depth, blocks)
        self.rates = rising_rates if "-" in c.order else iter([c.stochastic_depth] * blocks)
        self.rate = 0.0  # of the block in hand

    def mixing(self, letter: str) -> Layer:
        self.rate = next(self.rates)
        branch = None if letter == "p" else self._branch(self._mixer(letter), self.c.layer_scale)
        return Mixing(branch, Local(self.dim, (self.side, self.side)) if self.c.bypass else None)

    def _mixer(self, letter: str) -> Layer:
        if letter not in self.mixers or not self.c.shared:
            attention = letter == "a"
            places = self.side * self.side
            hidden = max(int(places * self.c.token_ratio), 1)
            self.mixers[letter] = SelfAttention(self.dim, self.c.heads) if attention else TokenMLP(places, hidden)
        return self.mixers[letter]

    def _branch(self, layer: Layer, layer_scale: float | None = None) -> Layer:
        norm, depth = layer_norm(self.dim, self.c.eps), StochasticDepth(self.rate)
        return Branch(layer, self.dim, self.c.dropout, norm, depth, layer_scale)

    def feedforward(self) -> Layer:
        return self._branch(FeedForward(self.dim, self.c.ratio * self.dim, "gelu"))

    def downsample(self) -> Layer:
        layer = Downsample(self.dim, (self.side, self.side))
        self.dim, self.side, self.mixers = 2 * self.dim, self.side // 2, {}
        return layer

    def norm(self) -> Layer:
        return Norm(self.dim, self.c.eps)


def orders(c: SpachConfig) -> tuple[str, ...]:
    """The order string: each block is a mixer and a feed-forward, d goes to the next stage, norms at both ends."""
    return ("n" + "d".join("".join(letter + "f" for letter in stage) for stage in c.order.split("-")) + "n",)


def spach(c: SpachConfig) -> ImageClassifier:
    """A network of the paper, or of one's own order."""
    halvings = c.order.count("-")
    side = grid_side(c.image_size, c.patch << halvings, "patch, doubled by each stage after the first") << halvings
    build = Builder(c, side)
    stem = wide_stem if c.stem == "conv4" else Patches
    source = stem(c.channels, c.dim, c.patch, side)
    encoder = Stack(
        orders(c)[0],
        p=lambda: build.mixing("p"),
        a=lambda: build.mixing("a"),
        m=lambda: build.mixing("m"),
        f=build.feedforward,
        d=build.downsample,
        n=build.norm,
    )
    model = ImageClassifier(source, encoder, MeanToken(), zero_head(build.dim, c.classes))
    init(model, c)
    return model


def init(model: ImageClassifier, c: SpachConfig) -> None:
    """The official code: Glorot's for matrices, He's by outputs for kernels, zeros for biases and the head."""
    for module in model.encoder.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    for module in model.source.modules():
        if isinstance(module, nn.Linear):  # the patches, a kernel there
            nn.init.normal_(module.weight, std=(2 / (module.out_features * c.patch**2)) ** 0.5)
            nn.init.zeros_(module.bias)
    init_convolutions(model)
