"""`torch.nn.Transformer` to our Transformer and back: the stacks, for it has neither embeddings nor a head.

It puts a LayerNorm at the end of both stacks in post-norm mode too, which the paper does not; our order string then
ends in n.
"""

import re
from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.models.transformer import TransformerConfig, transformer
from allyouneed.nn.frames import EncoderDecoder
from allyouneed.weights.rename import Name, Row, in_stack, load, rename

ACTIVATIONS: dict[Callable[..., Tensor], str] = {F.relu: "relu", F.gelu: "gelu"}
ORDERS = {"encoder": "sf", "decoder": "scf"}
NORMS = {"encoder": {"s": "norm1", "f": "norm2"}, "decoder": {"s": "norm1", "c": "norm2", "f": "norm3"}}
PARTS = {  # sublayer -> ours: theirs
    "s": {"qkv.": "self_attn.in_proj_", "out.": "self_attn.out_proj."},
    "c": {"out.": "multihead_attn.out_proj."},  # its q and kv are apart here and together there
    "f": {"inner.": "linear1.", "outer.": "linear2."},
}
LEAF = "(?P<leaf>weight|bias)"


def _pairs(side: str) -> list[tuple[str, str, str]]:
    """Every weight of one side's layers that has one name here and one there: letter, ours, theirs."""
    parts = [(letter, f"layer.{ours}", theirs) for letter in ORDERS[side] for ours, theirs in PARTS[letter].items()]
    return parts + [(letter, "norm.", f"{norm}.") for letter, norm in NORMS[side].items()]


def _from_torch(depths: dict[str, int]) -> list[Row]:
    rows: list[Row] = []
    for side, depth in depths.items():
        layer = rf"{side}\.layers\.(?P<i>\d+)\."
        for letter, ours, theirs in _pairs(side):
            rows.append(Row(f"{layer}{theirs}{LEAF}", (in_stack(ORDERS[side], side, letter, rf"{ours}\g<leaf>"),)))
        end = f"{depth * len(ORDERS[side])}n"
        rows.append(Row(rf"{side}\.norm\.{LEAF}", (rf"{side}.layers.{end}.norm.\g<leaf>",)))
    q, kv = (in_stack("scf", "decoder", "c", rf"layer.{part}.\g<leaf>") for part in ("q", "kv"))
    cross = rf"decoder\.layers\.(?P<i>\d+)\.multihead_attn\.in_proj_{LEAF}"
    rows.append(Row(cross, (q, kv), lambda fused: fused.split([len(fused) // 3, 2 * len(fused) // 3])))  # 3d d
    return rows


def _to_torch() -> list[Row]:
    rows: list[Row] = []
    for side, order in ORDERS.items():
        for letter, ours, theirs in _pairs(side):
            rows.append(Row(rf"{side}\.layers\.(?P<i>\d+){letter}\.{ours}{LEAF}", (_layer(side, order, theirs),)))
        rows.append(Row(rf"{side}\.layers\.\d+n\.norm\.{LEAF}", (rf"{side}.norm.\g<leaf>",)))
    for k, part in enumerate(("q", "kv")):
        new = _layer("decoder", "scf", "multihead_attn.in_proj_", f"[{k}]")
        rows.append(Row(rf"decoder\.layers\.(?P<i>\d+)c\.layer\.{part}\.{LEAF}", (new,)))
    return rows


def _layer(side: str, order: str, theirs: str, part: str = "") -> Name:
    return lambda match: f"{side}.layers.{int(match['i']) // len(order)}.{theirs}{match['leaf']}{part}"


def from_torch(reference: nn.Transformer, vocab_size: int) -> tuple[EncoderDecoder, TransformerConfig]:
    """Our Transformer with the stacks of `reference`, and embeddings and head of its own, drawn anew.

    Compare `model.encoder` and `model.decoder` with those of a batch-first `reference`. The traps: its boolean masks mean
    the opposite of ours, and in eval mode it takes another path, which cuts padding off (pytorch#97111).
    Raises UserError for what it can have and we have not: another activation, no biases.
    """
    config = TransformerConfig(vocab_size=vocab_size, **_numbers(reference))
    model = transformer(config)
    depths = {"encoder": len(reference.encoder.layers), "decoder": len(reference.decoder.layers)}
    load(_stacks(model), reference.state_dict(), _from_torch(depths), "this nn.Transformer")
    return model, config


def _numbers(reference: nn.Transformer) -> dict[str, Any]:
    first: Any = reference.encoder.layers[0]
    if first.activation not in ACTIVATIONS:
        raise UserError(f"this nn.Transformer has the activation {first.activation}; known here are relu and gelu")
    return {
        "dim": reference.d_model,
        "heads": reference.nhead,
        "ffn_dim": first.linear1.out_features,
        "order": "sf" * len(reference.encoder.layers) + "n",
        "decoder_order": "scf" * len(reference.decoder.layers) + "n",
        "norm": "pre" if first.norm_first else "post",
        "eps": first.norm1.eps,
        "activation": ACTIVATIONS[first.activation],
        "dropout": first.dropout1.p,
        "attention_dropout": first.self_attn.dropout,
        "activation_dropout": first.dropout.p,
    }


def to_torch(model: EncoderDecoder) -> dict[str, Tensor]:
    """The state dict of the `nn.Transformer` with the same stacks; both must end in a norm, as its stacks do."""
    orders = (str(model.encoder.order), str(model.decoder.order))
    if not re.fullmatch("(sf)+n", orders[0]) or not re.fullmatch("(scf)+n", orders[1]):
        raise UserError(
            "an nn.Transformer has layers in the orders 'sf...n' and 'scf...n' only, with a norm at the end; "
            f"this model has {orders[0]!r} and {orders[1]!r}"
        )
    return rename(_stacks(model).state_dict(), _to_torch()).tensors


def _stacks(model: EncoderDecoder) -> nn.ModuleDict:
    return nn.ModuleDict({"encoder": model.encoder, "decoder": model.decoder})
