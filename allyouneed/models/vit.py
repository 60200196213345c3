"""An Image is Worth 16x16 Words. Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929

image -> patches, each a vector, + class token + positions -> (self, feed-forward) x N -> norm
-> class token or mean -> logits.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from allyouneed.nn.attention import Attend, SelfAttention
from allyouneed.nn.classifier import FirstToken, ImageClassifier, MeanToken, zero_head
from allyouneed.nn.feedforward import FeedForward
from allyouneed.nn.grid import (
    AxisPositions,
    Constant,
    FixedGridPositions,
    Grid,
    NoGridPositions,
    RasterPositions,
    offsets,
    resample,
    whole,
)
from allyouneed.nn.layer import Layer
from allyouneed.nn.patches import ImageInput, Patches, grid_side
from allyouneed.nn.stack import Stack
from allyouneed.nn.stems import conv_stem, resnet_stem
from allyouneed.nn.stochastic_depth import Branch, StochasticDepth, rising
from allyouneed.nn.wrap import Norm, layer_norm
from allyouneed.settings import Settings


class VitConfig(Settings):
    """The numbers of a Vision Transformer. The defaults are the preset `small`, for images of a few dozen pixels."""

    classes: int = Field(10, ge=1, description="Classes; set from the data.")
    channels: int = Field(1, ge=1, description="Channels of an image; set from the data.")
    image_size: int = Field(28, ge=1, description="Side of an image in pixels; set from the data.")
    patch: int = Field(4, ge=1, description="Side of a patch in pixels; divides image_size.")
    dim: int = Field(192, ge=2, description="Width of the model.")
    heads: int = Field(3, ge=1, description="Attention heads; they share dim.")
    ffn_dim: int = Field(768, ge=1, description="Inner width of the feed-forward network.")
    depth: int = Field(6, ge=1, description="Layers, where no order is given.")
    order: str | None = Field(
        None, pattern="^[sfn]+$", description="Order string, letters s, f, n; none: 'sf' * depth."
    )
    stem: Literal["patch", "conv", "resnet"] = Field(
        "patch", description="What cuts the image: one product, 3x3 convolutions, or a ResNet (the paper's hybrid)."
    )
    resnet: str = Field("3-4-9", pattern=r"^\d+(-\d+)*$", description="Blocks of the ResNet stem, stage by stage.")
    positions: Literal["none", "1d", "2d", "relative", "sincos"] = Field(
        "1d", description="None, learned in raster order, learned per axis, learned per offset, or fixed sin-cos."
    )
    pool: Literal["token", "mean"] = Field(
        "token", description="What the head reads: a class token, or all tokens' mean."
    )
    pre_logits: int | None = Field(None, ge=1, description="Width of a layer with tanh below the head; none: no layer.")
    activation: Literal["gelu", "gelu_tanh"] = Field(
        "gelu", description="GELU, exact or by tanh (the official code's)."
    )
    eps: float = Field(1e-6, gt=0, description="LayerNorm's epsilon.")
    bias: bool = Field(True, description="Biases in the attention projections.")
    dropout: float = Field(
        0.1, ge=0, lt=1, description="On tokens and after every dense layer but q, k, v (the paper's)."
    )
    attention_dropout: float = Field(0.0, ge=0, lt=1, description="On attention weights.")
    stochastic_depth: float = Field(0.0, ge=0, lt=1, description="Chance that the last layer is left out in training.")

    @model_validator(mode="after")
    def _fits(self) -> "VitConfig":
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not divisible by heads {self.heads}")
        if self.positions == "sincos" and self.dim % 4:
            raise ValueError(f"positions 'sincos' need a dim divisible by 4, and dim is {self.dim}")
        return self


def _size(dim: int, depth: int, ffn_dim: int, heads: int, patch: int, **more: object) -> VitConfig:
    given = dict(image_size=224, channels=3, classes=1000, activation="gelu_tanh", dropout=0.0)
    return VitConfig(**{**given, **dict(dim=dim, depth=depth, ffn_dim=ffn_dim, heads=heads, patch=patch), **more})


PRESETS = {
    "small": VitConfig(),
    "digits": VitConfig(
        image_size=8, patch=2, pool="mean", dim=64, heads=4, ffn_dim=128, depth=4, dropout=0.0, stem="conv"
    ),
    "ti16": _size(192, 12, 768, 3, 16),
    "s16": _size(384, 12, 1536, 6, 16),
    "b32": _size(768, 12, 3072, 12, 32),
    "b16": _size(768, 12, 3072, 12, 16),
    "b8": _size(768, 12, 3072, 12, 8),
    "l32": _size(1024, 24, 4096, 16, 32, dropout=0.1),
    "l16": _size(1024, 24, 4096, 16, 16, dropout=0.1),
    "h14": _size(1280, 32, 5120, 16, 14, dropout=0.1),
    "r50-b16": _size(768, 12, 3072, 12, 16, stem="resnet", dropout=0.1),
}
"""Table 1 of the paper, with Ti and S of its code. There dropout of L/16 in fine-tuning is 0.1, of B none."""


class RelativeAttend(Attend):
    """Attention with a second key per pair, learned for the offset between their places (appendix D.4):
    softmax(q (k + r)^T / sqrt(d_k)) v. All heads share the table, as they do in the lambda layer.

    A class token has no place: one key stands for all patches as it sees them, one for itself as they see it, and one
    for itself as it sees itself. The paper says "offset p_q - p_k" and no more; here it is one of rows and columns.
    """

    def __init__(self, grid: Grid, head_dim: int, prefix: int, dropout: float = 0.0):
        super().__init__(dropout)
        self.grid, self.prefix = grid, prefix
        self.places = math.prod(whole(grid))
        self.table = nn.Parameter(torch.randn(self.places + 3 * prefix, head_dim) * 0.02)
        self.rows = Constant(partial(token_offsets, grid, prefix))

    def weights(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:  # b h n m
        keys = self.table.to(q.dtype)[self.rows.value]  # n m k
        scores = q @ k.transpose(-1, -2) + torch.einsum("bhnk,nmk->bhnm", q, keys)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) * q.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return scores.softmax(-1)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:  # b h n k -> b h n k
        weights = self.weights(q, k, mask).to(v.dtype)
        return F.dropout(weights, self.dropout, self.training) @ v

    def resampled(self, grid: Grid, mode: str) -> dict[str, Tensor]:
        """The parameters for another grid: the middle of the table, offset zero, stays where it is."""
        rows = self.table[: self.places].unflatten(0, whole(self.grid))
        table = resample(rows, whole(grid), mode)
        return {"table": torch.cat([table.flatten(0, 1), self.table[self.places :]])}


def token_offsets(grid: Grid, prefix: int) -> Tensor:  # n n
    """`offsets` with a class token before the patches, whose rows of the table come last."""
    rows = offsets(grid)
    if prefix:
        places = math.prod(whole(grid))
        rows = F.pad(F.pad(rows, (0, 0, 1, 0), value=places), (1, 0), value=places + 1)
        rows[0, 0] = places + 2
    return rows


POSITIONS: dict[str, Callable[[Grid, int, int], nn.Module]] = {
    "none": lambda grid, dim, prefix: NoGridPositions(),
    "1d": RasterPositions,
    "2d": AxisPositions,
    "relative": lambda grid, dim, prefix: NoGridPositions(),  # order enters in attention instead
    "sincos": FixedGridPositions,
}


def orders(c: VitConfig) -> tuple[str, ...]:
    """The encoder's order string; it ends with a norm, n."""
    order = c.order or "sf" * c.depth
    return (order if order[-1] == "n" else order + "n",)


def _patches(c: VitConfig, side: int) -> nn.Module:
    if c.stem == "conv":
        return conv_stem(c.channels, c.dim, c.patch, side)
    if c.stem == "resnet":
        return resnet_stem(c.channels, c.dim, c.patch, c.image_size, [int(n) for n in c.resnet.split("-")])
    return Patches(c.channels, c.dim, c.patch, side)


def _pool(c: VitConfig) -> nn.Module:
    pool = FirstToken() if c.pool == "token" else MeanToken()
    if c.pre_logits is None:
        return pool
    return nn.Sequential(OrderedDict(pool=pool, dense=nn.Linear(c.dim, c.pre_logits), tanh=nn.Tanh()))


def vit(c: VitConfig) -> ImageClassifier:
    """The Vision Transformer of the paper, or of one's own numbers."""
    side, prefix = grid_side(c.image_size, c.patch), int(c.pool == "token")
    grid, (order,) = (side, side), orders(c)
    rates = rising(c.stochastic_depth, len(order.replace("n", "")))

    def wrap(layer: Layer) -> Layer:
        return Branch(layer, c.dim, c.dropout, layer_norm(c.dim, c.eps), StochasticDepth(next(rates)))

    def look() -> Attend:
        if c.positions == "relative":
            return RelativeAttend(grid, c.dim // c.heads, prefix, c.attention_dropout)
        return Attend(c.attention_dropout)

    encoder = Stack(
        order,
        s=lambda: wrap(SelfAttention(c.dim, c.heads, look(), c.bias)),
        f=lambda: wrap(FeedForward(c.dim, c.ffn_dim, c.activation, c.dropout)),
        n=lambda: Norm(c.dim, c.eps),
    )
    positions = POSITIONS[c.positions](grid, c.dim, prefix)
    source = ImageInput(_patches(c, side), positions, c.dim, prefix, c.dropout)
    model = ImageClassifier(source, encoder, _pool(c), zero_head(c.pre_logits or c.dim, c.classes))
    init(model)
    return model


def init(model: ImageClassifier) -> None:
    """The official code (vision_transformer/models_vit.py): Glorot's for matrices, N(0, 1e-12) for the biases of the
    feed-forward network, zeros for the other biases, the class token and the head, N(0, 0.0004) for positions (where
    they are made), and variance 1 / inputs for the patches."""
    for name, parameter in model.encoder.named_parameters():
        if name.endswith(("inner.bias", "outer.bias")):
            nn.init.normal_(parameter, std=1e-6)
        elif name.endswith(("qkv.bias", "out.bias")):
            nn.init.zeros_(parameter)
        elif name.endswith(".weight") and parameter.dim() == 2:
            for matrix in parameter.detach().chunk(3) if "qkv" in name else (parameter,):  # fused for speed
                nn.init.xavier_uniform_(matrix)
    for module in model.source.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            nn.init.zeros_(module.bias)


def at_resolution(
    model: ImageClassifier, c: VitConfig, image_size: int, mode: str = "scipy"
) -> tuple[ImageClassifier, VitConfig]:
    """The same model for images of another size: more patches of the same size, and positions resampled by `mode`
    (section 3.2; the four modes are in `nn/grid.py`, and the official one is "scipy")."""
    config = VitConfig(**{**c.model_dump(), "image_size": image_size})
    other = vit(config)
    grid = (grid_side(image_size, c.patch),) * 2
    tensors = dict(model.state_dict())
    for name, module in model.named_modules():
        if hasattr(module, "resampled"):
            tensors |= {f"{name}.{own}": table for own, table in module.resampled(grid, mode).items()}  # type: ignore[operator]
    other.load_state_dict(tensors)
    return other.train(model.training), config
