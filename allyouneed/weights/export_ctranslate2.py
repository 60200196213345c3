"""A trained Transformer as a CTranslate2 model (https://github.com/OpenNMT/CTranslate2), a fast engine in C++.

Its q, k and v are fused as ours are, its position table is given and not computed, and its scale of the embeddings is
a number, so that every position layout and scale can be said. Its layers come in the plain orders only.
"""

from pathlib import Path
from typing import Any

from allyouneed.data.subwords import Subwords
from allyouneed.models.transformer import TransformerConfig
from allyouneed.nn.frames import EncoderDecoder
from allyouneed.weights.plain import depth, final_norm, layers, position_codes, unusual_orders

ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "gelu_tanh": "GELUTanh", "silu": "SWISH"}


def obstacles(c: TransformerConfig) -> list[str]:
    """The settings of this model that CTranslate2 cannot express."""
    return unusual_orders(c)


def write(model: EncoderDecoder, c: TransformerConfig, source: Subwords, target: Subwords, folder: Path) -> list[str]:
    """Writes model.bin, config.json and the vocabularies into `folder`; returns what a user should know."""
    spec = _filled(model, c)
    spec.register_source_vocabulary(source.pieces(range(len(source))))
    spec.register_target_vocabulary(target.pieces(range(len(target))))
    spec.config.layer_norm_epsilon = c.eps
    spec.config.decoder_start_token, spec.config.bos_token, spec.config.eos_token = "<s>", "<s>", "</s>"
    spec.config.add_source_eos = True
    spec.validate()
    spec.optimize()  # finds tied tables and stores them once
    spec.save(str(folder))
    return [
        "CTranslate2 reads pieces: split a text by the tokenizer file beside model.bin, "
        "and pass the pieces to ctranslate2.Translator.translate_batch"
    ]


def _filled(model: EncoderDecoder, c: TransformerConfig) -> Any:
    from ctranslate2.specs import TransformerSpec
    from ctranslate2.specs.common_spec import Activation

    spec = TransformerSpec.from_config(
        (depth(model.encoder, "sf"), depth(model.decoder, "scf")),
        c.heads,
        pre_norm=c.norm == "pre",
        activation=Activation[ACTIVATIONS[c.activation]],
    )
    encodings = position_codes(c, model)
    sides = ((spec.encoder, model.encoder, model.source, "sf"), (spec.decoder, model.decoder, model.target, "scf"))
    for (side, stack, tokens, unit), codes in zip(sides, encodings, strict=True):
        for theirs, ours in zip(side.layer, layers(stack, unit), strict=True):
            _layer(theirs, ours)
        norm = final_norm(stack)
        if norm is not None:
            _norm(side.layer_norm, norm)
        side.position_encodings.encodings = codes.numpy()
        side.scale_embeddings = float(tokens.embedding.scale)
    spec.encoder.embeddings[0].weight = _array(model.source.embedding.table.weight)
    spec.decoder.embeddings.weight = _array(model.target.embedding.table.weight)
    spec.decoder.projection.weight = _array(model.head.weight)
    if model.head.bias is not None:
        spec.decoder.projection.bias = _array(model.head.bias)
    return spec


def _layer(theirs: Any, ours: Any) -> None:
    attention = ours.self_attention
    _linear(theirs.self_attention.linear[0], attention.layer.qkv)
    _linear(theirs.self_attention.linear[1], attention.layer.out)
    _norm(theirs.self_attention.layer_norm, attention.norm)
    if ours.cross_attention is not None:
        attention = ours.cross_attention
        for place, part in enumerate((attention.layer.q, attention.layer.kv, attention.layer.out)):
            _linear(theirs.attention.linear[place], part)
        _norm(theirs.attention.layer_norm, attention.norm)
    _linear(theirs.ffn.linear_0, ours.feedforward.layer.inner)
    _linear(theirs.ffn.linear_1, ours.feedforward.layer.outer)
    _norm(theirs.ffn.layer_norm, ours.feedforward.norm)


def _linear(spec: Any, linear: Any) -> None:
    spec.weight = _array(linear.weight)
    if linear.bias is not None:
        spec.bias = _array(linear.bias)


def _norm(spec: Any, norm: Any) -> None:
    spec.gamma, spec.beta = _array(norm.weight), _array(norm.bias)


def _array(tensor: Any) -> Any:
    return tensor.detach().float().cpu().numpy()
