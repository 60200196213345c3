"""The numbers that the config.json of BERT and of ALBERT have in common, and ours."""

from collections.abc import Mapping
from typing import Any

from allyouneed.errors import UserError
from allyouneed.nn.encoder_config import EncoderConfig

ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
}
SAME = {
    "vocab_size": "vocab_size",
    "dim": "hidden_size",
    "depth": "num_hidden_layers",
    "heads": "num_attention_heads",
    "ffn_dim": "intermediate_size",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "positions_length": "max_position_embeddings",
    "segments": "type_vocab_size",
    "eps": "layer_norm_eps",
    "init_std": "initializer_range",
    "pad": "pad_token_id",
}
"""Our field -> their key."""
DEFAULTS = {"max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "initializer_range": 0.02,
            "pad_token_id": 0}  # fmt: skip


def shared_numbers(given: Mapping[str, Any]) -> dict[str, Any]:
    """Their common keys as our fields. Raises UserError for what our encoders cannot be."""
    given = {**DEFAULTS, **{key: value for key, value in given.items() if value is not None}}
    if given["hidden_act"] not in ACTIVATIONS:
        raise UserError(f"hidden_act {given['hidden_act']!r} is not one of {', '.join(ACTIVATIONS)}")
    kind = given.get("position_embedding_type", "absolute")
    if kind != "absolute":
        raise UserError(f"position_embedding_type {kind!r} cannot be read; only absolute positions can")
    numbers = {field: given[key] for field, key in SAME.items()}
    return {**numbers, "activation": ACTIVATIONS[given["hidden_act"]], "init": "normal"}


def shared_published(c: EncoderConfig) -> dict[str, Any]:
    """Our common fields by their keys."""
    act = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "silu": "silu"}[c.activation]
    return {**{key: getattr(c, field) for field, key in SAME.items()}, "hidden_act": act}
