"""BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding. Devlin et al. 2019, https://arxiv.org/abs/1810.04805

ids, segments -> norm(word + position + segment) -> (self, feed-forward) x N -> hidden;
hidden at the masked places -> transform -> word table -> words; hidden of [CLS] -> pooler -> pair, class.
"""

from typing import TypeVar

from torch import nn

from allyouneed.nn.classifier import FirstToken
from allyouneed.nn.dropping_attention import DroppingAttend
from allyouneed.nn.embedding import TokenEmbedding
from allyouneed.nn.encoder_config import EncoderConfig
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
from allyouneed.nn.stack import Stack
from allyouneed.nn.text_encoder import Pooler, SegmentedInput, TextEncoder, init_normal
from allyouneed.nn.wrap import PostNorm, layer_norm

Model = TypeVar("Model", bound=nn.Module)


class BertConfig(EncoderConfig):
    """The numbers of BERT. The defaults are the preset `mini`, which a laptop trains."""


# The paper has base and large; the smaller ones are those of Turc et al. 2019, https://arxiv.org/abs/1908.08962
PRESETS = {
    "mini": BertConfig(),
    "tiny": BertConfig(dim=128, heads=2, ffn_dim=512, depth=2),
    "small": BertConfig(dim=512, heads=8, ffn_dim=2048, depth=4),
    "base": BertConfig(dim=768, heads=12, ffn_dim=3072, depth=12),
    "large": BertConfig(dim=1024, heads=16, ffn_dim=4096, depth=24),
}


def orders(c: BertConfig) -> tuple[str]:
    """The encoder's order string."""
    return ("sf" * c.depth,)


def body(c: BertConfig, pooler: nn.Module) -> TextEncoder:
    """The encoder without its heads."""
    norm = layer_norm(c.dim, c.eps)

    def wrap(layer: Layer) -> Layer:
        return PostNorm(layer, c.dim, c.dropout, norm)

    source = SegmentedInput(
        TokenEmbedding(c.vocab_size, c.dim, scale=1.0),
        LearnedPositions(c.dim, c.positions_length),
        c.segments,
        norm(),
        c.dropout,
    )
    encoder = Stack(
        orders(c)[0],
        s=lambda: wrap(PackedSelfAttention(c.dim, c.heads, DroppingAttend(c.attention_dropout))),
        f=lambda: wrap(FeedForward(c.dim, c.ffn_dim, c.activation)),
    )
    return TextEncoder(source, encoder, pooler, c.pad)


def masked_lm(c: BertConfig) -> MaskedLanguageModel:
    """For pre-training: masked words, and whether the second text follows the first (section 3.1, tasks 1 and 2)."""
    paired = c.pair != "none"
    encoder = body(c, Pooler(c.dim) if paired else FirstToken())
    head = MaskedWordHead(encoder.source.embedding.table.weight, c.dim, c.activation, layer_norm(c.dim, c.eps))
    return init(MaskedLanguageModel(encoder, head, ClassHead(c.dim, 2, c.pair_dropout) if paired else None), c)


def text_classifier(c: BertConfig) -> TextClassifier:
    """A class for a text or for a pair (section 4.1)."""
    return init(TextClassifier(body(c, Pooler(c.dim)), ClassHead(c.dim, c.labels, c.head_dropout)), c)


def tagger(c: BertConfig) -> TokenClassifier:
    """A class for each token (section 5.3)."""
    return init(TokenClassifier(body(c, FirstToken()), ClassHead(c.dim, c.labels, c.head_dropout)), c)


def span_finder(c: BertConfig) -> SpanFinder:
    """The beginning and the end of an answer in a passage (section 4.2)."""
    return init(SpanFinder(body(c, FirstToken()), SpanHead(c.dim)), c)


BUILDS = {
    "masked-lm": masked_lm,
    "text-classification": text_classifier,
    "tagging": tagger,
    "question-answering": span_finder,
}


def init(model: Model, c: BertConfig) -> Model:
    """google-research/bert: `truncated_normal_initializer(stddev=0.02)` for every matrix and table, biases zero."""
    init_normal(model, c.init_std, cut=c.init == "truncated")
    return model
