"""MLP-Mixer: An all-MLP Architecture for Vision. Tolstikhin et al. 2021, https://arxiv.org/abs/2105.01601

image -> patches, each a vector -> (MLP over the places, MLP over the channels) x N -> norm -> mean -> logits.
"""

from typing import Literal

from pydantic import Field
from torch import nn

from allyouneed.nn.classifier import ImageClassifier, MeanToken, zero_head
from allyouneed.nn.feedforward import FeedForward
from allyouneed.nn.layer import Layer
from allyouneed.nn.patches import Patches, grid_side
from allyouneed.nn.stack import Stack
from allyouneed.nn.stochastic_depth import Branch, StochasticDepth, rising
from allyouneed.nn.token_mlp import TokenMLP
from allyouneed.nn.wrap import Norm, layer_norm
from allyouneed.settings import Settings


class MixerConfig(Settings):
    """The numbers of a Mixer. The defaults are the preset `small`, for images of a few dozen pixels."""

    classes: int = Field(10, ge=1, description="Classes; set from the data.")
    channels: int = Field(1, ge=1, description="Channels of an image; set from the data.")
    image_size: int = Field(28, ge=1, description="Side of an image in pixels; set from the data.")
    patch: int = Field(4, ge=1, description="Side of a patch in pixels; divides image_size.")
    dim: int = Field(192, ge=1, description="Width of the model, C in the paper.")
    token_dim: int = Field(96, ge=1, description="Inner width of the MLP over places, D_S.")
    ffn_dim: int = Field(768, ge=1, description="Inner width of the MLP over channels, D_C.")
    depth: int = Field(6, ge=1, description="Layers, where no order is given.")
    order: str | None = Field(
        None, pattern="^[tfn]+$", description="Order string, letters t, f, n; none: 'tf' * depth."
    )
    activation: Literal["gelu", "gelu_tanh"] = Field(
        "gelu", description="GELU, exact or by tanh (the official code's)."
    )
    eps: float = Field(1e-6, gt=0, description="LayerNorm's epsilon.")
    dropout: float = Field(0.1, ge=0, lt=1, description="On the output of both MLPs; the paper has none.")
    stochastic_depth: float = Field(0.0, ge=0, lt=1, description="Chance that the last layer is left out in training.")
    rescale: bool = Field(True, description="Whether what stochastic depth keeps is divided by 1 - its rate (timm).")


def _size(dim: int, depth: int, token_dim: int, ffn_dim: int, patch: int) -> MixerConfig:
    given = dict(image_size=224, channels=3, classes=1000, activation="gelu_tanh", dropout=0.0, rescale=False)
    return MixerConfig(dim=dim, depth=depth, token_dim=token_dim, ffn_dim=ffn_dim, patch=patch, **given)


PRESETS = {
    "small": MixerConfig(),
    "s32": _size(512, 8, 256, 2048, 32),
    "s16": _size(512, 8, 256, 2048, 16),
    "b32": _size(768, 12, 384, 3072, 32),
    "b16": _size(768, 12, 384, 3072, 16),
    "l16": _size(1024, 24, 512, 4096, 16),
    "h14": _size(1280, 32, 640, 5120, 14),
}
"""Table 1 of the paper."""


def orders(c: MixerConfig) -> tuple[str, ...]:
    """The order string; it ends with a norm, n."""
    order = c.order or "tf" * c.depth
    return (order if order[-1] == "n" else order + "n",)


def mixer(c: MixerConfig) -> ImageClassifier:
    """The Mixer of the paper, or of one's own numbers."""
    side, (order,) = grid_side(c.image_size, c.patch), orders(c)
    rates = rising(c.stochastic_depth, len(order.replace("n", "")))

    def wrap(layer: Layer) -> Layer:
        depth = StochasticDepth(next(rates), c.rescale)
        return Branch(layer, c.dim, c.dropout, layer_norm(c.dim, c.eps), depth)

    encoder = Stack(
        order,
        t=lambda: wrap(TokenMLP(side * side, c.token_dim, c.activation)),
        f=lambda: wrap(FeedForward(c.dim, c.ffn_dim, c.activation)),
        n=lambda: Norm(c.dim, c.eps),
    )
    model = ImageClassifier(
        Patches(c.channels, c.dim, c.patch, side), encoder, MeanToken(), zero_head(c.dim, c.classes)
    )
    init(model)
    return model


def init(model: ImageClassifier) -> None:
    """The official code leaves all to Flax: variance 1 / inputs for matrices, zeros for biases; the head is zero."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2 and not name.startswith("head"):
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
