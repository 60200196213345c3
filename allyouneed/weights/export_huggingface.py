"""A trained Transformer as a folder that Hugging Face `transformers` opens: Marian for post-norm, Pegasus for pre-norm.

Pegasus is pre-norm Marian: norms at the ends of both stacks and positions that begin at 0, with a table kept in the
file. M2M-100, the other pre-norm translator there, begins at the position after its padding's id and makes its
sinusoids itself, which no order of weights can undo: a model that starts at 0 cannot be one.

Two things are rewritten, exactly but for rounding. Interleaved sinusoids become Marian's halves by one permutation of
the model's width. Both classes fix LayerNorm's epsilon at 1e-5; another one is reached by a wider residual stream,
since norm(x; eps) = norm(c x; c^2 eps).
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from allyouneed.data.subwords import BOS, EOS, PAD, Subwords
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.models.transformer import TransformerConfig
from allyouneed.nn.frames import EncoderDecoder
from allyouneed.weights.huggingface_tokenizer import write_tokenizer
from allyouneed.weights.plain import Sublayers, depth, final_norm, layers, position_codes, unusual_orders

ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "silu": "silu"}
EPS = 1e-5
NEVER = -1e9  # the logit of a row that fills up a table: its probability is exactly 0
READERS = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "fc1.weight")  # their input is the model's width
WRITERS = ("out_proj.weight", "out_proj.bias", "fc2.weight", "fc2.bias")  # their output is
TABLES = ("shared.weight", "embed_tokens.weight", "embed_positions.weight", "lm_head.weight")


def obstacles(c: TransformerConfig) -> list[str]:
    """The settings of this model that neither Marian nor Pegasus can express."""
    return unusual_orders(c)


def write(
    model: EncoderDecoder, c: TransformerConfig, source: Subwords, target: Subwords, decoding: DecodingSettings,
    folder: Path,
) -> list[str]:  # fmt: skip
    """Writes config, generation config, weights and tokenizer; returns what a user should know."""
    tensors = rebased(named_tensors(model, c), c)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip
    config = _config(model, c)
    config.save_pretrained(folder)
    notes = _generation(decoding, config, folder) + _tables(c)
    write_tokenizer(source, folder, decoding.max_source)
    if target is not source:
        write_tokenizer(target, folder / "target", decoding.max_source)
        notes.append("translations are decoded by the tokenizer in the sub-folder 'target': each side has its own")
    return notes


def _one_table(c: TransformerConfig) -> bool:
    return c.tie == "all"


def named_tensors(model: EncoderDecoder, c: TransformerConfig) -> dict[str, Tensor]:
    """Our weights by the names of both classes, each tied table once."""
    out: dict[str, Tensor] = {}
    for name, stack, unit in (("encoder", model.encoder, "sf"), ("decoder", model.decoder, "scf")):
        for i, layer in enumerate(layers(stack, unit)):
            _layer(out, f"model.{name}.layers.{i}", layer)
        norm = final_norm(stack)
        if norm is not None:
            _put(out, f"model.{name}.layer_norm", norm)
    codes = dict(zip(("encoder", "decoder"), position_codes(c, model), strict=True))
    out.update({f"model.{name}.embed_positions.weight": table for name, table in codes.items()})
    _vocabulary(out, model, c)
    return {name: tensor.detach().float().cpu().clone() for name, tensor in out.items()}


def _vocabulary(out: dict[str, Tensor], model: EncoderDecoder, c: TransformerConfig) -> None:
    """The tables of words. Pegasus has one size for both sides: the smaller table is filled up."""
    source, target, head = model.source.embedding.table.weight, model.target.embedding.table.weight, model.head.weight
    bias = torch.zeros(len(head)) if model.head.bias is None else model.head.bias.detach()
    if c.norm == "pre":
        missing = max(len(source), len(target)) - len(target)
        source = F.pad(source, (0, 0, 0, max(len(target) - len(source), 0)))
        target, head = F.pad(target, (0, 0, 0, missing)), F.pad(head, (0, 0, 0, missing))
        bias = F.pad(bias, (0, missing), value=NEVER)
    out["final_logits_bias"] = bias[None]
    if _one_table(c):
        out["model.shared.weight"] = source
        return
    out["model.encoder.embed_tokens.weight"] = source
    out["model.decoder.embed_tokens.weight"] = target
    out["lm_head.weight"] = head
    if c.norm == "pre":
        out["model.shared.weight"] = torch.zeros_like(source)  # has to be there, and nothing reads it


def _layer(out: dict[str, Tensor], name: str, layer: Sublayers) -> None:
    inner = layer.self_attention.layer
    _attention(out, f"{name}.self_attn", ("qkv", inner.qkv), inner.out)
    _put(out, f"{name}.self_attn_layer_norm", layer.self_attention.norm)
    if layer.cross_attention is not None:
        inner = layer.cross_attention.layer
        _attention(out, f"{name}.encoder_attn", ("q", inner.q), inner.out)
        _attention(out, f"{name}.encoder_attn", ("kv", inner.kv), inner.out)
        _put(out, f"{name}.encoder_attn_layer_norm", layer.cross_attention.norm)
    _put(out, f"{name}.fc1", layer.feedforward.layer.inner)
    _put(out, f"{name}.fc2", layer.feedforward.layer.outer)
    _put(out, f"{name}.final_layer_norm", layer.feedforward.norm)


def _attention(out: dict[str, Tensor], name: str, fused: tuple[str, Any], last: Any) -> None:
    letters, linear = fused
    bias = torch.zeros(len(linear.weight)) if linear.bias is None else linear.bias
    for letter, weight, part in zip(letters, linear.weight.chunk(len(letters)), bias.chunk(len(letters)), strict=True):
        out[f"{name}.{letter}_proj.weight"], out[f"{name}.{letter}_proj.bias"] = weight, part
    _put(out, f"{name}.out_proj", last)


def _put(out: dict[str, Tensor], name: str, module: Any) -> None:
    """A linear map or a norm; both classes have biases everywhere, so an absent one is zero."""
    out[f"{name}.weight"] = module.weight
    out[f"{name}.bias"] = torch.zeros(len(module.weight)) if module.bias is None else module.bias


def stream_scale(c: TransformerConfig) -> float:
    """The factor on the residual stream that makes an epsilon of 1e-5 the model's own."""
    return math.sqrt(EPS / c.eps)


def rebased(tensors: dict[str, Tensor], c: TransformerConfig) -> dict[str, Tensor]:
    """The same function with the width's columns in Marian's order and the residual stream times `stream_scale`."""
    order = torch.arange(c.dim)
    if c.positions == "interleaved":
        order = torch.cat([order[0::2], order[1::2]])  # all sines, then all cosines
    scale, post = stream_scale(c), c.norm == "post"
    last = f"{depth_name(tensors)}." if post else "model.decoder.layer_norm."
    rules: list[tuple[Callable[[str], bool], Callable[[Tensor], Tensor]]] = [
        (lambda name: name.endswith(TABLES), lambda t: t[:, order] * scale),
        (lambda name: name.endswith(READERS), lambda t: t[:, order] / (scale if post else 1.0)),
        (lambda name: name.endswith(WRITERS), lambda t: t[order] * scale),
        (lambda name: name.startswith(last), lambda t: t[order] / scale),  # what reads it is the table, times scale
        (lambda name: "layer_norm." in name, lambda t: t[order] * (scale if post else 1.0)),
    ]
    return {
        name: next((change(tensor) for fits, change in rules if fits(name)), tensor) for name, tensor in tensors.items()
    }


def depth_name(tensors: dict[str, Tensor]) -> str:
    """The name of the last norm of a post-norm decoder."""
    count = sum(name.startswith("model.decoder.layers.") and name.endswith("fc1.weight") for name in tensors)
    return f"model.decoder.layers.{count - 1}.final_layer_norm"


def _config(model: EncoderDecoder, c: TransformerConfig) -> Any:
    from transformers import MarianConfig, PegasusConfig

    sizes = (c.source_vocab_size or c.vocab_size, c.vocab_size)
    numbers: dict[str, Any] = {
        "d_model": c.dim, "encoder_layers": depth(model.encoder, "sf"), "decoder_layers": depth(model.decoder, "scf"),
        "encoder_attention_heads": c.heads, "decoder_attention_heads": c.heads, "encoder_ffn_dim": c.ffn_dim,
        "decoder_ffn_dim": c.ffn_dim, "activation_function": ACTIVATIONS[c.activation],
        "scale_embedding": c.scale_embedding, "dropout": c.dropout, "attention_dropout": c.attention_dropout,
        "activation_dropout": c.activation_dropout, "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS,
        "forced_eos_token_id": EOS, "decoder_start_token_id": BOS, "tie_word_embeddings": _one_table(c),
        "max_position_embeddings": len(position_codes(c, model)[0]), "dtype": "float32",
    }  # fmt: skip
    if c.norm == "pre":
        return PegasusConfig(**numbers, vocab_size=max(sizes), architectures=["PegasusForConditionalGeneration"])
    return MarianConfig(**numbers, vocab_size=sizes[0], decoder_vocab_size=sizes[1], architectures=["MarianMTModel"],
                        share_encoder_decoder_embeddings=_one_table(c))  # fmt: skip


def _generation(decoding: DecodingSettings, config: Any, folder: Path) -> list[str]:
    from transformers import GenerationConfig

    power = {"average": decoding.length_penalty, "none": 0.0}.get(decoding.penalty, 1.0)
    GenerationConfig(
        num_beams=decoding.beam, length_penalty=power, max_length=min(512, config.max_position_embeddings),
        pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS, decoder_start_token_id=BOS, forced_eos_token_id=EOS,
        suppress_tokens=[PAD, BOS], early_stopping=decoding.beam > 1,
    ).save_pretrained(folder)  # fmt: skip
    if decoding.penalty in ("average", "none") or decoding.beam == 1:
        return []
    return ["transformers has no length penalty of the gnmt form; the folder's beam search divides by the length "
            "instead, and may prefer another of the same translations"]  # fmt: skip


def _tables(c: TransformerConfig) -> list[str]:
    own = c.positions in ("interleaved", "halves") and stream_scale(c) == 1.0
    if own or c.norm == "pre":
        return []
    return ["the position table is part of model.safetensors; Marian's save_pretrained leaves it out, "
            "so copy the folder rather than saving the opened model again"]  # fmt: skip
