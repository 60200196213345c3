"""ALBERT as Hugging Face stores it: the names and numbers of its folders beside ours."""

from collections.abc import Mapping
from typing import Any

from allyouneed.models.albert import BUILDS, AlbertConfig
from allyouneed.weights.encoder_names import Family, Pair, attention, both
from allyouneed.weights.encoder_numbers import shared_numbers, shared_published

# What `AlbertConfig` assumes of a key that config.json leaves out (transformers 5.23, configuration_albert.py).
DEFAULTS: dict[str, Any] = {
    "vocab_size": 30000,
    "embedding_size": 128,
    "hidden_size": 4096,
    "num_hidden_layers": 12,
    "num_hidden_groups": 1,
    "num_attention_heads": 64,
    "intermediate_size": 16384,
    "inner_group_num": 1,
    "hidden_act": "gelu_new",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "classifier_dropout_prob": 0.1,
}


def numbers(given: Mapping[str, Any]) -> dict[str, Any]:
    """A config.json of ALBERT's as our numbers."""
    given = {**DEFAULTS, **given}
    return {
        **shared_numbers(given),
        "embedding_dim": given["embedding_size"],
        "groups": given["num_hidden_groups"],
        "inner": given["inner_group_num"],
        "head_dropout": given["classifier_dropout_prob"],
        "pair_dropout": given["classifier_dropout_prob"],
    }


def published(c: AlbertConfig) -> dict[str, Any]:
    """Our numbers as a config.json of ALBERT's."""
    return {
        **shared_published(c),
        "embedding_size": c.embedding_dim,
        "num_hidden_groups": c.groups,
        "inner_group_num": c.inner,
        "classifier_dropout_prob": c.head_dropout,
    }


def body(c: AlbertConfig) -> list[Pair]:
    """The names of tables and layers; the layers of a group stand in the file once, as here."""
    pairs = [
        ("embeddings.word_embeddings.weight", "source.embedding.table.weight"),
        ("embeddings.position_embeddings.weight", "source.positions.table"),
        ("embeddings.token_type_embeddings.weight", "source.segments.weight"),
        *both("embeddings.LayerNorm", "source.norm"),
        *both("encoder.embedding_hidden_mapping_in", "source.widen"),
    ]
    for group, i in ((group, i) for group in range(c.groups) for i in range(c.inner)):
        theirs = f"encoder.albert_layer_groups.{group}.albert_layers.{i}"
        ours = f"encoder.layers.{group}g.layer.layers"
        s, f = f"{ours}.{2 * i}s", f"{ours}.{2 * i + 1}f"
        pairs += attention(f"{theirs}.attention", f"{s}.layer.qkv")
        pairs += both(f"{theirs}.attention.dense", f"{s}.layer.out")
        pairs += both(f"{theirs}.attention.LayerNorm", f"{s}.norm")
        pairs += both(f"{theirs}.ffn", f"{f}.layer.inner")
        pairs += both(f"{theirs}.ffn_output", f"{f}.layer.outer")
        pairs += both(f"{theirs}.full_layer_layer_norm", f"{f}.norm")
    return pairs


ALBERT = Family(
    name="albert",
    prefix="albert",
    architectures={
        "AlbertForPreTraining": "masked-lm",
        "AlbertForMaskedLM": "masked-lm",
        "AlbertForSequenceClassification": "text-classification",
        "AlbertForTokenClassification": "tagging",
        "AlbertForQuestionAnswering": "question-answering",
    },
    builds=BUILDS,
    numbers=numbers,
    config=AlbertConfig,
    published=published,
    body=body,
    pooler=both("pooler", "pooler.linear"),
    words=[
        *both("predictions.dense", "head.linear"),
        *both("predictions.LayerNorm", "head.norm"),
        ("predictions.bias", "head.words.bias"),
    ],
    twins=both("predictions.decoder", "head.words"),
    pair_head=both("sop_classifier.classifier", "pair_head.linear"),
    pair="sentence-order",
)
