"""Reformer: The Efficient Transformer. Kitaev et al. 2020, https://arxiv.org/abs/2001.04451

ids -> embedding + axial position -> two streams -> (local or LSH attention, feed-forward) x N, reversible -> both
streams, norm -> logits: of the token after each in a language model, of an answer at each place in an encoder.
"""

import math
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from allyouneed.nn.embedding import TextInput, TokenEmbedding
from allyouneed.nn.feedforward import FeedForward
from allyouneed.nn.frames import LanguageModel, Tagger
from allyouneed.nn.heads import VocabularyHead
from allyouneed.nn.layer import Context, Layer, Pointwise
from allyouneed.nn.local import CausalChunkAttend, ChunkAttend, LocalSelfAttention
from allyouneed.nn.lsh import LSHAttend
from allyouneed.nn.positions_axial import AxialPositions
from allyouneed.nn.reversible import Inside, ReversibleStack
from allyouneed.nn.shared_attention import SharedAttend, SharedSelfAttention
from allyouneed.nn.stack import Stack
from allyouneed.nn.sublayers import check_order
from allyouneed.nn.wrap import Norm
from allyouneed.settings import Settings


class ReformerConfig(Settings):
    """The numbers of a Reformer. The defaults are the preset `small`: texts of up to 4,096 tokens."""

    vocab_size: int = Field(320, ge=5, description="Size of the vocabulary; set from the trained subwords.")
    dim: int = Field(256, ge=4, description="Width of each of the two streams.")
    heads: int = Field(4, ge=1, description="Attention heads.")
    head_dim: int | None = Field(None, ge=1, description="Width of a head; none: dim / heads.")
    ffn_dim: int = Field(1024, ge=1, description="Inner width of the feed-forward network.")
    depth: int = Field(3, ge=1, description="Pairs of a local and an LSH layer, where no order is given.")
    order: str | None = Field(
        None,
        min_length=1,
        description="Order string; none: 'lfhf' * depth. l is attention in chunks, h by hashing, s exact with shared "
        "queries and keys, f feed-forward.",
    )
    local_chunk: int = Field(64, ge=1, description="Length of an l layer's chunks; the one before is seen too.")
    chunk: int = Field(64, ge=1, description="Length of an h layer's chunks; the one before is seen too.")
    rounds: int = Field(4, ge=1, description="Rounds of hashing.")
    buckets: tuple[int, ...] | None = Field(
        None, description="Even factors whose product is the buckets of a round; none: twice the longest text's chunks."
    )
    wrap: bool = Field(False, description="A round's first chunk looks back to the last of the round before (trax).")
    positions_shape: tuple[int, int] = Field((64, 64), description="Rows and columns of positions: the longest text.")
    rows_dim: int | None = Field(None, ge=1, description="Width of a row's vector; none: a quarter of dim.")
    ffn_chunk: int = Field(0, ge=0, description="Positions that the feed-forward treats at once; 0: all.")
    activation: Literal["relu", "gelu", "gelu_tanh", "silu"] = Field("relu", description="Feed-forward activation.")
    eps: float = Field(1e-12, gt=0, description="LayerNorm's epsilon.")
    dropout: float = Field(0.05, ge=0, lt=1, description="On embeddings and on each sublayer's output.")
    attention_dropout: float = Field(0.0, ge=0, lt=1, description="On attention weights.")
    activation_dropout: float = Field(0.0, ge=0, lt=1, description="After the activation.")

    @model_validator(mode="after")
    def _fits(self) -> "ReformerConfig":
        check_order("order", self.order, "lhsf")
        if self.head_dim is None and self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not divisible by heads {self.heads}; give head_dim, the width of one")
        if min(self.positions_shape) < 1:
            raise ValueError(f"positions_shape {self.positions_shape} needs at least one row and one column")
        if self.rows_dim is not None and self.rows_dim >= self.dim:
            raise ValueError(f"rows_dim {self.rows_dim} leaves nothing of dim {self.dim} to the columns")
        if self.buckets is not None and (not self.buckets or any(b < 2 or b % 2 for b in self.buckets)):
            raise ValueError(f"buckets {self.buckets} must be even numbers: each axis of a rotation has two ends")
        return self


PRESETS = {
    "small": ReformerConfig(),
    "tiny": ReformerConfig(dim=128, heads=4, ffn_dim=256, depth=1, chunk=32, local_chunk=32, positions_shape=(32, 64)),
    # trax's reformer_enwik8, with the widths of the published checkpoint: 65,536 characters at once.
    "enwik8": ReformerConfig(
        vocab_size=258, dim=1024, heads=8, head_dim=128, ffn_dim=4096, order="lflfhflf" * 3, local_chunk=128, chunk=256,
        rounds=2, buckets=(512,), wrap=True, positions_shape=(128, 512), rows_dim=256, dropout=0.2,
    ),
    # trax's copy task, section 4 of the paper: 0w0w.
    "copy": ReformerConfig(
        vocab_size=13, ffn_dim=512, order="hf" * 3, chunk=16, rounds=2, buckets=(32, 32), positions_shape=(32, 32),
        dropout=0.0,
    ),
}  # fmt: skip


def orders(c: ReformerConfig) -> tuple[str]:
    """The order string of the reversible layers."""
    return (c.order or "lfhf" * c.depth,)


def buckets(c: ReformerConfig) -> tuple[int, ...]:
    """Twice the chunks of the longest text, as a power of two, in two factors where they are many (trax).

    Hugging Face takes the first text that it meets, so that the model depends on what it has read first.
    """
    if c.buckets is not None:
        return c.buckets
    chunks = max(1, math.prod(c.positions_shape) // c.chunk)
    power = (2 * chunks).bit_length() - 1
    if 2**power <= 2 * max(math.isqrt(chunks), c.chunk):
        return (2**power,)
    return 2 ** (power // 2), 2 ** (power - power // 2)


class InPieces(Pointwise):
    """A position-wise layer, a piece of the text at a time: its inner width never exists for the whole (section 3).

    The pieces are computed again in the backward pass, without which all their insides would be kept there.
    """

    def __init__(self, layer: Layer, length: int):
        super().__init__()
        self.layer = layer
        self.length = length

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n d
        if torch.compiler.is_compiling() or not 0 < self.length < x.shape[1]:
            return self.layer(x, context)
        pieces = x.split(self.length, dim=1)
        return torch.cat([checkpoint(self.layer, piece, context, use_reentrant=False) for piece in pieces], dim=1)


def body(c: ReformerConfig, causal: bool) -> tuple[TextInput, Stack, VocabularyHead]:
    """Tokens, the reversible layers with the norm over both streams, and a head of twice the width."""
    local = CausalChunkAttend if causal else ChunkAttend
    width = c.head_dim or c.dim // c.heads
    count = buckets(c)

    def inside(layer: Layer) -> Layer:
        return Inside(layer, nn.LayerNorm(c.dim, eps=c.eps), c.dropout)

    def shared(attend: SharedAttend) -> Layer:
        return inside(SharedSelfAttention(c.dim, c.heads, attend, width))

    def hashing() -> SharedAttend:
        return LSHAttend(c.heads, width, c.chunk, count, c.rounds, causal, c.wrap, c.attention_dropout)

    def feed() -> Layer:
        return FeedForward(c.dim, c.ffn_dim, c.activation, c.activation_dropout)

    reversible = lambda: ReversibleStack(  # noqa: E731
        orders(c)[0],
        l=lambda: inside(
            LocalSelfAttention(c.dim, c.heads, local(c.local_chunk, dropout=c.attention_dropout), False, width)
        ),
        h=lambda: shared(hashing()),
        s=lambda: shared(SharedAttend(causal, c.attention_dropout)),
        f=lambda: inside(InPieces(feed(), c.ffn_chunk)),
    )
    tokens = TextInput(
        TokenEmbedding(c.vocab_size, c.dim, scale=1.0), AxialPositions(c.dim, c.positions_shape, c.rows_dim), c.dropout
    )
    layers = Stack("rn", r=reversible, n=lambda: Norm(2 * c.dim, c.eps))
    return tokens, layers, VocabularyHead(nn.Parameter(torch.empty(c.vocab_size, 2 * c.dim)), bias=True)


def language_model(c: ReformerConfig) -> LanguageModel:
    """Long texts, token by token."""
    model = LanguageModel(*body(c, causal=True))
    init(model, c)
    return model


def tagger(c: ReformerConfig) -> Tagger:
    """The encoder: each position sees both sides."""
    model = Tagger(*body(c, causal=False))
    init(model, c)
    return model


def init(model: nn.Module, c: ReformerConfig) -> None:
    """trax: matrices after Glorot, tokens and positions alike from N(0, 1), which is also what axial vectors keep."""
    for name, parameter in model.named_parameters():
        if name.endswith(("embedding.table.weight", "positions.rows", "positions.columns")):
            nn.init.normal_(parameter)
        elif parameter.dim() == 2:
            for matrix in parameter.detach().chunk(3) if "qkv" in name else (parameter,):
                nn.init.xavier_uniform_(matrix)  # q, k and v are fused for speed and drawn as the matrices they are
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
