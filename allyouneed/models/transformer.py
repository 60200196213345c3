"""Attention Is All You Need. Vaswani et al. 2017, https://arxiv.org/abs/1706.03762

source ids -> embedding + position -> (self, feed-forward) x N -> memory;
target ids -> embedding + position -> (causal self, cross, feed-forward) x N -> logits.
"""

from typing import Literal

from pydantic import Field, model_validator
from torch import nn

from allyouneed.nn.attention import Attend, CausalAttend, CrossAttention, SelfAttention
from allyouneed.nn.feedforward import FeedForward
from allyouneed.nn.frames import EncoderDecoder
from allyouneed.nn.layer import Layer
from allyouneed.nn.stack import Stack
from allyouneed.nn.translator import TranslatorConfig, ends
from allyouneed.nn.wrap import Norm, PostNorm, PreNorm, layer_norm

WRAPS = {"pre": PreNorm, "post": PostNorm}


class TransformerConfig(TranslatorConfig):
    """The numbers of a translator. The defaults are the preset `small`, which is safe on small data."""

    heads: int = Field(4, ge=1, description="Attention heads; they share dim.")
    ffn_dim: int = Field(1024, ge=1, description="Inner width of the feed-forward network, d_ff.")
    depth: int = Field(3, ge=1, description="Layers on each side, N, where no order is given.")
    order: str | None = Field(None, description="Encoder's order string, letters s, f, n; none: 'sf' * depth.")
    decoder_order: str | None = Field(None, description="Decoder's order, letters s, c, f, n; none: 'scf' * depth.")
    norm: Literal["pre", "post"] = Field("pre", description="Where LayerNorm sits: pre (tensor2tensor), post (paper).")
    eps: float = Field(1e-5, gt=0, description="LayerNorm's epsilon.")
    activation: Literal["relu", "gelu", "gelu_tanh", "silu"] = Field("relu", description="Feed-forward activation.")
    bias: bool = Field(True, description="Biases in the attention projections; the 2017 code has none.")
    attention_dropout: float = Field(0.0, ge=0, lt=1, description="On attention weights (tensor2tensor's).")
    activation_dropout: float = Field(0.0, ge=0, lt=1, description="After the activation (tensor2tensor's).")

    @model_validator(mode="after")
    def _fits(self) -> "TransformerConfig":
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not divisible by heads {self.heads}")
        if self.decoder_order and set(self.decoder_order) - set("scfn"):
            raise ValueError(f"decoder_order {self.decoder_order!r} may have the letters s, c, f and n only")
        if self.order and set(self.order) - set("sfn"):
            raise ValueError(f"order {self.order!r} may have the letters s, f and n only")
        return self


_PAPER = dict(norm="post", bias=False, positions="interleaved", eps=1e-6, vocab_size=37000)

PRESETS = {
    "small": TransformerConfig(),
    "tiny": TransformerConfig(dim=128, heads=4, ffn_dim=256, depth=2, dropout=0.1),
    "paper-base": TransformerConfig(dim=512, heads=8, ffn_dim=2048, depth=6, dropout=0.1, **_PAPER),
    "paper-big": TransformerConfig(dim=1024, heads=16, ffn_dim=4096, depth=6, dropout=0.3, **_PAPER),
    # tensor2tensor's transformer_base since 2018 (v3): pre-norm, more dropout, its own layout of sinusoids.
    "t2t-base": TransformerConfig(
        dim=512, heads=8, ffn_dim=2048, depth=6, dropout=0.1, norm="pre", bias=False, eps=1e-6, vocab_size=32768,
        positions="tensor2tensor", attention_dropout=0.1, activation_dropout=0.1,
    ),
}  # fmt: skip


def orders(c: TransformerConfig) -> tuple[str, str]:
    """Encoder's and decoder's order strings; a pre-norm stack ends with a norm, n."""
    spelled = (c.order or "sf" * c.depth, c.decoder_order or "scf" * c.depth)
    encoder, decoder = (order + "n" if c.norm == "pre" and order[-1] != "n" else order for order in spelled)
    return encoder, decoder


def transformer(c: TransformerConfig) -> EncoderDecoder:
    """The encoder-decoder of the paper, of tensor2tensor or of one's own numbers."""

    def wrap(layer: Layer) -> Layer:
        return WRAPS[c.norm](layer, c.dim, c.dropout, layer_norm(c.dim, c.eps))

    def look(attend: type[Attend]) -> Attend:
        return attend(c.attention_dropout)

    feed = dict(
        f=lambda: wrap(FeedForward(c.dim, c.ffn_dim, c.activation, c.activation_dropout)),
        n=lambda: Norm(c.dim, c.eps),
    )
    encoder_order, decoder_order = orders(c)
    encoder = Stack(encoder_order, s=lambda: wrap(SelfAttention(c.dim, c.heads, look(Attend), c.bias)), **feed)
    decoder = Stack(
        decoder_order,
        s=lambda: wrap(SelfAttention(c.dim, c.heads, look(CausalAttend), c.bias)),
        c=lambda: wrap(CrossAttention(c.dim, c.heads, look(Attend), c.bias)),
        **feed,
    )
    source, target, head = ends(c)
    model = EncoderDecoder(source, encoder, target, decoder, head)
    init(model, c.dim)
    return model


def init(model: nn.Module, dim: int) -> None:
    """The paper is silent; tensor2tensor draws matrices with unit scaling (Glorot's) and tables from N(0, 1/d)."""
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
