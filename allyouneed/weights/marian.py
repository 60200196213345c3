"""Marian translators as Hugging Face stores them (the opus-mt models of Helsinki-NLP), read from a folder.

What is Marian's own: post-norm, sinusoids in halves, biases everywhere and one on the logits, and no token that begins
a sentence. The decoder reads the padding token first (its embedding is zero), so `model.pad` is both.
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from allyouneed.errors import UserError
from allyouneed.models.transformer import TransformerConfig, transformer
from allyouneed.nn.frames import EncoderDecoder
from allyouneed.weights.files import read_json, read_tensors
from allyouneed.weights.rename import Name, Row, in_stack, load

ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "swish": "silu",
    "silu": "silu",
}
# What `MarianConfig` assumes of a key that config.json leaves out (transformers 5.23, configuration_marian.py).
DEFAULTS: dict[str, Any] = {
    "vocab_size": 58101,
    "d_model": 1024,
    "activation_function": "gelu",
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "scale_embedding": False,
    "pad_token_id": 58100,
    "share_encoder_decoder_embeddings": True,
    "tie_word_embeddings": True,
    "encoder_layers": 12,
    "decoder_layers": 12,
    "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
}
ORDERS = {"encoder": "sf", "decoder": "scf"}
LEAF = r"(?P<leaf>weight|bias)"


def _sublayer(side: str, theirs: str, letter: str, ours: str) -> Row:
    new: Name = in_stack(ORDERS[side], side, letter, ours)
    return Row(rf"model\.{side}\.layers\.(?P<i>\d+)\.{theirs}\.{LEAF}", (new,))


def _layers(side: str) -> list[Row]:
    """The rows of one side. fairseq and BART have the same leaf names."""
    rows = [
        *(
            _sublayer(side, rf"self_attn\.{part}_proj", "s", rf"layer.qkv.\g<leaf>[{k}]")
            for k, part in enumerate("qkv")
        ),
        _sublayer(side, r"self_attn\.out_proj", "s", r"layer.out.\g<leaf>"),
        _sublayer(side, "self_attn_layer_norm", "s", r"norm.\g<leaf>"),
        _sublayer(side, "fc1", "f", r"layer.inner.\g<leaf>"),
        _sublayer(side, "fc2", "f", r"layer.outer.\g<leaf>"),
        _sublayer(side, "final_layer_norm", "f", r"norm.\g<leaf>"),
    ]
    if side == "encoder":
        return rows
    return [
        *rows,
        _sublayer(side, r"encoder_attn\.q_proj", "c", r"layer.q.\g<leaf>"),
        *(
            _sublayer(side, rf"encoder_attn\.{part}_proj", "c", rf"layer.kv.\g<leaf>[{k}]")
            for k, part in enumerate("kv")
        ),
        _sublayer(side, r"encoder_attn\.out_proj", "c", r"layer.out.\g<leaf>"),
        _sublayer(side, "encoder_attn_layer_norm", "c", r"norm.\g<leaf>"),
    ]


SOURCE, TARGET = "source.embedding.table.weight", "target.embedding.table.weight"
TABLE = [
    Row(r"model\.shared\.weight", (SOURCE, TARGET)),
    Row(r"model\.encoder\.embed_tokens\.weight", (SOURCE,)),
    Row(r"model\.decoder\.embed_tokens\.weight", (TARGET,)),
    Row(r"lm_head\.weight", ("head.weight",)),
    Row("final_logits_bias", ("head.bias",), lambda bias: [bias.flatten()]),  # 1 v -> v
    Row(r"model\.(encoder|decoder)\.embed_positions\.weight"),  # sinusoids, which we make ourselves
    *_layers("encoder"),
    *_layers("decoder"),
]


def load_marian(folder: str | Path) -> tuple[EncoderDecoder, TransformerConfig]:
    """The translator in a folder with config.json and model.safetensors (or pytorch_model.bin), in eval mode.

    Token ids are the folder's own. Raises UserError where a file is missing, damaged, of another kind or does not fit.
    """
    folder = Path(folder)
    numbers = {**DEFAULTS, **read_json(folder / "config.json")}
    config = _config(numbers, folder / "config.json")
    model = transformer(config)
    model.pad = numbers["pad_token_id"]
    tensors = read_tensors(folder)
    if "final_logits_bias" not in tensors:  # Marian's own class, too, takes an absent one for zeros
        tensors["final_logits_bias"] = model.head.weight.new_zeros(1, config.vocab_size)
    if config.tie == "none" and "model.encoder.embed_tokens.weight" in tensors:
        tensors.pop("model.shared.weight", None)  # with nothing tied it is a leftover that Marian does not read
    load(model, tensors, TABLE, str(folder))
    return model.eval(), config


def _config(numbers: dict[str, Any], path: Path) -> TransformerConfig:
    """Marian's numbers as ours."""
    if numbers.get("model_type", "marian") != "marian":
        raise UserError(f"{path} describes a model of type {numbers['model_type']!r}; this loader reads marian only")
    pad, size = numbers["pad_token_id"], numbers["vocab_size"]
    if not isinstance(pad, int) or not isinstance(size, int) or not 0 <= pad < size:
        raise UserError(f"{path}: pad_token_id {pad!r} is not a token of a vocabulary of {size!r}")
    for key in ("ffn_dim", "attention_heads"):
        if numbers[f"encoder_{key}"] != numbers[f"decoder_{key}"]:
            raise UserError(f"{path}: encoder_{key} and decoder_{key} differ, which this Transformer cannot express")
    if numbers["activation_function"] not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise UserError(f"{path}: activation_function {numbers['activation_function']!r} is not one of {known}")
    shared = numbers["share_encoder_decoder_embeddings"]
    tie = ("all" if shared else "decoder") if numbers["tie_word_embeddings"] else "none"
    try:
        return TransformerConfig(
            vocab_size=numbers["vocab_size"] if shared else numbers.get("decoder_vocab_size") or numbers["vocab_size"],
            source_vocab_size=None if shared else numbers["vocab_size"],
            dim=numbers["d_model"],
            heads=numbers["encoder_attention_heads"],
            ffn_dim=numbers["encoder_ffn_dim"],
            depth=numbers["encoder_layers"],
            decoder_order="scf" * numbers["decoder_layers"],
            norm="post",
            positions="halves",
            activation=ACTIVATIONS[numbers["activation_function"]],  # type: ignore[arg-type]
            head_bias=True,
            scale_embedding=numbers["scale_embedding"],
            tie=tie,  # type: ignore[arg-type]
            dropout=numbers["dropout"],
            attention_dropout=numbers["attention_dropout"],
            activation_dropout=numbers["activation_dropout"],
        )
    except (ValidationError, TypeError) as error:
        faults = error.errors() if isinstance(error, ValidationError) else []
        said = "; ".join(" ".join(map(str, (*fault["loc"], fault["msg"]))) for fault in faults) or error
        raise UserError(f"{path} holds numbers that do not fit together: {said}") from None
