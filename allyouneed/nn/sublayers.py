"""The sublayers of the Transformer by letter, for the pages that put them in an order of their own.

s is self-attention, c attention to the source, f feed-forward, n a norm.
"""

from collections.abc import Callable
from typing import Literal

from pydantic import Field, model_validator
from torch import nn

from allyouneed.nn.attention import Attend, CrossAttention, SelfAttention
from allyouneed.nn.feedforward import FeedForward
from allyouneed.nn.layer import Layer
from allyouneed.nn.translator import TranslatorConfig
from allyouneed.nn.wrap import Norm, PostNorm, PreNorm, layer_norm

WRAPS = {"pre": PreNorm, "post": PostNorm}


class SublayerConfig(TranslatorConfig):
    """Numbers of the sublayers; a page adds how many there are and in which order."""

    heads: int = Field(4, ge=1, description="Attention heads; they share dim.")
    ffn_dim: int = Field(1024, ge=1, description="Inner width of the feed-forward network, d_ff.")
    norm: Literal["pre", "post"] = Field("pre", description="Where LayerNorm sits: pre (tensor2tensor), post (paper).")
    eps: float = Field(1e-5, gt=0, description="LayerNorm's epsilon.")
    activation: Literal["relu", "gelu", "gelu_tanh", "silu"] = Field("relu", description="Feed-forward activation.")
    bias: bool = Field(True, description="Biases in the attention projections; the 2017 code has none.")
    attention_dropout: float = Field(0.0, ge=0, lt=1, description="On attention weights (tensor2tensor's).")
    activation_dropout: float = Field(0.0, ge=0, lt=1, description="After the activation (tensor2tensor's).")

    @model_validator(mode="after")
    def _heads_share_dim(self) -> "SublayerConfig":
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not divisible by heads {self.heads}")
        return self


def check_order(name: str, order: str | None, letters: str) -> None:
    """Refuses an order string with a letter that the stack has no layer for, naming the letter."""
    unknown = [letter for letter in order or "" if letter not in letters]
    if unknown:
        allowed = f"{', '.join(letters[:-1])} and {letters[-1]}"
        raise ValueError(f"{name} {order!r} has the letter {unknown[0]!r}; it may have the letters {allowed} only")


def ended(c: SublayerConfig, order: str) -> str:
    """The order with the norm at its end that a pre-norm stack needs."""
    return order + "n" if c.norm == "pre" and not order.endswith("n") else order


def sublayers(c: SublayerConfig, attend: type[Attend]) -> dict[str, Callable[[], Layer]]:
    """Makers of the sublayers; `attend` is how self-attention looks, `CausalAttend` in what writes."""

    def wrap(layer: Layer) -> Layer:
        return WRAPS[c.norm](layer, c.dim, c.dropout, layer_norm(c.dim, c.eps))

    return dict(
        s=lambda: wrap(SelfAttention(c.dim, c.heads, attend(c.attention_dropout), c.bias)),
        c=lambda: wrap(CrossAttention(c.dim, c.heads, Attend(c.attention_dropout), c.bias)),
        f=lambda: wrap(FeedForward(c.dim, c.ffn_dim, c.activation, c.activation_dropout)),
        n=lambda: Norm(c.dim, c.eps),
    )


def init_sublayers(model: nn.Module, dim: int) -> None:
    """Matrices with unit scaling (Glorot's), tables from N(0, 1/d), biases zero: tensor2tensor's first weights."""
    for name, parameter in model.named_parameters():
        if name.endswith(("table.weight", "head.weight", "positions.table")):
            nn.init.normal_(parameter, std=dim**-0.5)
        elif parameter.dim() == 2:
            for matrix in (
                parameter.detach().split(parameter.shape[1]) if "qkv" in name or ".kv" in name else (parameter,)
            ):
                nn.init.xavier_uniform_(matrix)  # q, k and v are fused for speed and drawn as the matrices they are
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
