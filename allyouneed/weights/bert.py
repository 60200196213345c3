"""BERT as Hugging Face stores it: the names and numbers of its folders beside ours."""

from collections.abc import Mapping
from typing import Any

from allyouneed.errors import UserError
from allyouneed.models.bert import BUILDS, BertConfig
from allyouneed.weights.encoder_names import Family, Pair, attention, both
from allyouneed.weights.encoder_numbers import shared_numbers, shared_published

# What `BertConfig` assumes of a key that config.json leaves out (transformers 5.23, configuration_bert.py).
DEFAULTS: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}


def numbers(given: Mapping[str, Any]) -> dict[str, Any]:
    """A config.json of BERT's as our numbers."""
    for key in ("is_decoder", "add_cross_attention"):
        if given.get(key):
            raise UserError(f"{key} is set, which makes a decoder of a BERT; only encoders can be read")
    common = shared_numbers({**DEFAULTS, **given})
    dropout = given.get("classifier_dropout")
    return {**common, "head_dropout": common["dropout"] if dropout is None else dropout}


def published(c: BertConfig) -> dict[str, Any]:
    """Our numbers as a config.json of BERT's."""
    return {**shared_published(c), "classifier_dropout": c.head_dropout}


def body(c: BertConfig) -> list[Pair]:
    """The names of tables and layers."""
    pairs = [
        ("embeddings.word_embeddings.weight", "source.embedding.table.weight"),
        ("embeddings.position_embeddings.weight", "source.positions.table"),
        ("embeddings.token_type_embeddings.weight", "source.segments.weight"),
        *both("embeddings.LayerNorm", "source.norm"),
    ]
    for i in range(c.depth):
        theirs, s, f = f"encoder.layer.{i}", f"encoder.layers.{2 * i}s", f"encoder.layers.{2 * i + 1}f"
        pairs += attention(f"{theirs}.attention.self", f"{s}.layer.qkv")
        pairs += both(f"{theirs}.attention.output.dense", f"{s}.layer.out")
        pairs += both(f"{theirs}.attention.output.LayerNorm", f"{s}.norm")
        pairs += both(f"{theirs}.intermediate.dense", f"{f}.layer.inner")
        pairs += both(f"{theirs}.output.dense", f"{f}.layer.outer")
        pairs += both(f"{theirs}.output.LayerNorm", f"{f}.norm")
    return pairs


BERT = Family(
    name="bert",
    prefix="bert",
    architectures={
        "BertForPreTraining": "masked-lm",
        "BertForMaskedLM": "masked-lm",
        "BertForSequenceClassification": "text-classification",
        "BertForTokenClassification": "tagging",
        "BertForQuestionAnswering": "question-answering",
    },
    builds=BUILDS,
    numbers=numbers,
    config=BertConfig,
    published=published,
    body=body,
    pooler=both("pooler.dense", "pooler.linear"),
    words=[
        *both("cls.predictions.transform.dense", "head.linear"),
        *both("cls.predictions.transform.LayerNorm", "head.norm"),
        ("cls.predictions.bias", "head.words.bias"),
    ],
    twins=both("cls.predictions.decoder", "head.words"),
    pair_head=both("cls.seq_relationship", "pair_head.linear"),
    pair="next-sentence",
)
