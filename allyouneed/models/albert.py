"""ALBERT: A Lite BERT for Self-supervised Learning of Language Representations. Lan et al. 2020, https://arxiv.org/abs/1909.11942

ids, segments -> norm(word + position + segment), narrow -> linear map to full width -> one (self, feed-forward) x N;
hidden at the masked places -> transform, narrow -> word table -> words; hidden of [CLS] -> pooler -> order, class.
"""

from typing import Literal, TypeVar

from pydantic import Field, model_validator
from torch import nn

from allyouneed.nn.classifier import FirstToken
from allyouneed.nn.dropping_attention import DroppingAttend
from allyouneed.nn.embedding import TokenEmbedding
from allyouneed.nn.encoder_config import EncoderConfig, Pair
from allyouneed.nn.encoder_heads import (
    ClassHead,
    MaskedLanguageModel,
    MaskedWordHead,
    SpanFinder,
    SpanHead,
    TextClassifier,
    TokenClassifier,
)
from allyouneed.nn.feedforward import FeedForward
from allyouneed.nn.layer import Layer
from allyouneed.nn.packing import PackedSelfAttention
from allyouneed.nn.positions import LearnedPositions
from allyouneed.nn.stack import Repeat, Stack
from allyouneed.nn.text_encoder import Pooler, SegmentedInput, TextEncoder, init_normal
from allyouneed.nn.wrap import PostNorm, layer_norm

Model = TypeVar("Model", bound=nn.Module)


class AlbertConfig(EncoderConfig):
    """The numbers of ALBERT. The defaults are the preset `mini`, which a laptop trains and the paper has not."""

    vocab_size: int = Field(30000, ge=5, description="Size of the vocabulary; set from the trained subwords.")
    embedding_dim: int = Field(128, ge=1, description="Width of the tables, E; a linear map leads to dim.")
    groups: int = Field(1, ge=1, description="Groups of layers; the layers of a group share their weights.")
    inner: int = Field(1, ge=1, description="Different layers within a group, which repeat together.")
    activation: Literal["relu", "gelu", "gelu_tanh", "silu"] = Field(
        "gelu_tanh", description="Activation of the layers and of the masked-word head: gelu (exact) or gelu_tanh."
    )
    pair: Pair = Field("sentence-order", description="What pre-training asks of two texts; none: no head, no pooler.")
    dropout: float = Field(0.0, ge=0, lt=1, description="On embeddings and on the attention's output.")
    feedforward_dropout: float = Field(
        0.0, ge=0, lt=1, description="On the feed-forward's output: the paper's code has dropout's value, others none."
    )
    attention_dropout: float = Field(0.0, ge=0, lt=1, description="On attention weights.")
    pair_dropout: float = Field(0.1, ge=0, lt=1, description="Before the head of pairs.")

    @model_validator(mode="after")
    def _groups_fit(self) -> "AlbertConfig":
        if self.groups > self.depth:
            raise ValueError(f"groups {self.groups} are more than the depth {self.depth}")
        return self


PRESETS = {
    "mini": AlbertConfig(),
    "base": AlbertConfig(dim=768, heads=12, ffn_dim=3072, depth=12),
    "large": AlbertConfig(dim=1024, heads=16, ffn_dim=4096, depth=24),
    "xlarge": AlbertConfig(dim=2048, heads=16, ffn_dim=8192, depth=24),
    "xxlarge": AlbertConfig(dim=4096, heads=64, ffn_dim=16384, depth=12),
}


def orders(c: AlbertConfig) -> tuple[str]:
    """The order in which layers run; how many of them are the same one is `groups`' to say."""
    return ("sf" * (c.depth * c.inner),)


def turns(c: AlbertConfig) -> list[int]:
    """How often each group runs: layer i belongs to group int(i / (depth / groups)), as in both published codes."""
    group_of = [int(i / (c.depth / c.groups)) for i in range(c.depth)]
    return [group_of.count(group) for group in range(c.groups)]


def body(c: AlbertConfig, pooler: nn.Module) -> TextEncoder:
    """The encoder without its heads."""

    def wrap(layer: Layer, dropout: float) -> Layer:
        return PostNorm(layer, c.dim, dropout, layer_norm(c.dim, c.eps))

    def group(times: int) -> Layer:
        layers = Stack(
            "sf" * c.inner,
            s=lambda: wrap(PackedSelfAttention(c.dim, c.heads, DroppingAttend(c.attention_dropout)), c.dropout),
            f=lambda: wrap(FeedForward(c.dim, c.ffn_dim, c.activation), c.feedforward_dropout),
        )
        return Repeat(layers, times)

    source = SegmentedInput(
        TokenEmbedding(c.vocab_size, c.embedding_dim, scale=1.0),
        LearnedPositions(c.embedding_dim, c.positions_length),
        c.segments,
        nn.LayerNorm(c.embedding_dim, eps=c.eps),
        c.dropout,
        widen=nn.Linear(c.embedding_dim, c.dim),
    )
    times = iter(turns(c))
    return TextEncoder(source, Stack("g" * c.groups, g=lambda: group(next(times))), pooler, c.pad)


def masked_lm(c: AlbertConfig) -> MaskedLanguageModel:
    """For pre-training: masked words, and whether two texts are in their order (section 3.1)."""
    paired = c.pair != "none"
    encoder = body(c, Pooler(c.dim) if paired else FirstToken())
    norm = layer_norm(c.embedding_dim, c.eps)
    head = MaskedWordHead(encoder.source.embedding.table.weight, c.dim, c.activation, norm)
    return init(MaskedLanguageModel(encoder, head, ClassHead(c.dim, 2, c.pair_dropout) if paired else None), c)


def text_classifier(c: AlbertConfig) -> TextClassifier:
    """A class for a text or for a pair."""
    return init(TextClassifier(body(c, Pooler(c.dim)), ClassHead(c.dim, c.labels, c.head_dropout)), c)


def tagger(c: AlbertConfig) -> TokenClassifier:
    """A class for each token."""
    return init(TokenClassifier(body(c, FirstToken()), ClassHead(c.dim, c.labels, c.head_dropout)), c)


def span_finder(c: AlbertConfig) -> SpanFinder:
    """The beginning and the end of an answer in a passage."""
    return init(SpanFinder(body(c, FirstToken()), SpanHead(c.dim)), c)


BUILDS = {
    "masked-lm": masked_lm,
    "text-classification": text_classifier,
    "tagging": tagger,
    "question-answering": span_finder,
}


def init(model: Model, c: AlbertConfig) -> Model:
    """google-research/albert: `truncated_normal_initializer(stddev=0.02)` for every matrix and table, biases zero."""
    init_normal(model, c.init_std, cut=c.init == "truncated")
    return model
