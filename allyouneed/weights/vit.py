"""Vision Transformers as Hugging Face stores them, read from a folder and written to one. The package is not needed.

Names come in two spellings. Every published file, and what `save_pretrained` writes, has those of 2020
(`vit.encoder.layer.0.attention.attention.query`); a model in memory has had others since transformers 5
(`vit.layers.0.attention.q_proj`). Both are read; the old ones are written.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor

from allyouneed.errors import UserError
from allyouneed.models.vit import VitConfig, orders, vit
from allyouneed.nn.classifier import ImageClassifier
from allyouneed.weights.files import read_json, read_tensors
from allyouneed.weights.rename import Name, Row, in_stack, load

ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh"}
# What `ViTConfig` assumes of a key that config.json leaves out (transformers 5.23, configuration_vit.py).
DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "layer_norm_eps": 1e-12,
    "image_size": 224,
    "patch_size": 16,
    "num_channels": 3,
    "qkv_bias": True,
    "pooler_act": "tanh",
}
MIDDLE = (0.5, 0.5, 0.5)
"""Mean and deviation that the published models were trained with: pixels from -1 to 1, not ImageNet's statistics."""
LEAF = r"(?P<leaf>weight|bias)"


class Checkpoint(NamedTuple):
    """A published classifier: the model in eval mode, its numbers, its classes, and how its pixels are scaled."""

    model: ImageClassifier
    config: VitConfig
    labels: list[str]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def _sublayer(theirs: str, letter: str, ours: str) -> Row:
    new: Name = in_stack("sf", "encoder", letter, ours)
    return Row(rf"(?:vit\.)?(?:encoder\.layer|layers)\.(?P<i>\d+)\.(?:{theirs})\.{LEAF}", (new,))


def _whole(tensor: Tensor) -> list[Tensor]:
    return [tensor[0]]  # a leading axis of one


def table(depth: int) -> list[Row]:
    """The rows for a model of so many layers; the old spelling first, the new one after the bar."""
    projections = [
        _sublayer(rf"attention\.attention\.{word}|attention\.{word[0]}_proj", "s", rf"layer.qkv.\g<leaf>[{k}]")
        for k, word in enumerate(("query", "key", "value"))
    ]
    return [
        Row(r"(?:vit\.)?embeddings\.cls_token", ("source.prefix",), _whole),
        Row(r"(?:vit\.)?embeddings\.position_embeddings", ("source.positions.table",), _whole),
        Row(r"(?:vit\.)?embeddings\.mask_token"),  # of masked pre-training
        Row(
            r"(?:vit\.)?embeddings\.patch_embeddings\.projection\.weight",
            ("source.patches.project.weight",),
            lambda kernel: [kernel.flatten(1)],
        ),
        Row(r"(?:vit\.)?embeddings\.patch_embeddings\.projection\.bias", ("source.patches.project.bias",)),
        *projections,
        _sublayer(r"attention\.output\.dense|attention\.o_proj", "s", r"layer.out.\g<leaf>"),
        _sublayer("layernorm_before", "s", r"norm.\g<leaf>"),
        _sublayer(r"intermediate\.dense|mlp\.fc1", "f", r"layer.inner.\g<leaf>"),
        _sublayer(r"output\.dense|mlp\.fc2", "f", r"layer.outer.\g<leaf>"),
        _sublayer("layernorm_after", "f", r"norm.\g<leaf>"),
        Row(rf"(?:vit\.)?layernorm\.{LEAF}", (rf"encoder.layers.{2 * depth}n.norm.\g<leaf>",)),
        Row(rf"(?:vit\.)?pooler\.dense\.{LEAF}", (r"pool.dense.\g<leaf>",)),
        Row(rf"classifier\.{LEAF}", (r"head.\g<leaf>",)),
    ]


# ---- reading


def load_vit(folder: str | Path) -> Checkpoint:
    """The classifier in a folder with config.json and model.safetensors (or pytorch_model.bin).

    A body without a classifier, as of pre-training, gets a head of zeros, to be trained. Raises UserError where a file
    is missing, damaged, of another kind or does not fit.
    """
    folder = Path(folder)
    path = folder / "config.json"
    numbers = {**DEFAULTS, **read_json(path)}
    tensors = read_tensors(folder)
    labels = _labels(numbers, tensors, path)
    config = _config(numbers, tensors, len(labels), path)
    _fill(tensors, config, bool(numbers["qkv_bias"]))
    model = vit(config)
    load(model, tensors, table(config.depth), str(folder))
    return Checkpoint(model.eval(), config, labels, *_scaling(folder, config.channels))


def _labels(numbers: dict[str, Any], tensors: dict[str, Tensor], path: Path) -> list[str]:
    """Names of the classes in the order of the head's rows."""
    named = numbers.get("id2label") or {}
    if not isinstance(named, dict) or not all(str(key).isdecimal() for key in named):
        raise UserError(f"{path}: id2label should name each class by its number, and is {str(named)[:80]!r}")
    count = len(tensors["classifier.bias"]) if "classifier.bias" in tensors else max(len(named), 1)
    return [str(named.get(str(i), f"LABEL_{i}")) for i in range(count)]


def _config(numbers: dict[str, Any], tensors: dict[str, Tensor], classes: int, path: Path) -> VitConfig:
    """Their numbers as ours."""
    if numbers.get("model_type", "vit") != "vit":
        raise UserError(f"{path} describes a model of type {numbers['model_type']!r}; this loader reads vit only")
    for key, known in (("hidden_act", ACTIVATIONS), ("pooler_act", ("tanh",))):
        if numbers[key] not in known:
            raise UserError(f"{path}: {key} {numbers[key]!r} is not one of {', '.join(known)}")
    pooler = tensors.get("pooler.dense.bias", tensors.get("vit.pooler.dense.bias"))
    try:
        return VitConfig(
            classes=classes,
            channels=numbers["num_channels"],
            image_size=_side(numbers, "image_size", path),
            patch=_side(numbers, "patch_size", path),
            dim=numbers["hidden_size"],
            heads=numbers["num_attention_heads"],
            ffn_dim=numbers["intermediate_size"],
            depth=numbers["num_hidden_layers"],
            positions="1d",
            pool="token",
            pre_logits=None if pooler is None else len(pooler),
            activation=ACTIVATIONS[numbers["hidden_act"]],  # type: ignore[arg-type]
            eps=numbers["layer_norm_eps"],
            dropout=numbers["hidden_dropout_prob"],
            attention_dropout=numbers["attention_probs_dropout_prob"],
        )
    except (ValidationError, TypeError) as error:
        faults = error.errors() if isinstance(error, ValidationError) else []
        said = "; ".join(" ".join(map(str, (*fault["loc"], fault["msg"]))) for fault in faults) or error
        raise UserError(f"{path} holds numbers that do not fit together: {said}") from None


def _side(numbers: dict[str, Any], key: str, path: Path) -> int:
    """A side in pixels, which may be given for both axes."""
    sides = numbers[key] if isinstance(numbers[key], list) else [numbers[key]]
    if len(set(sides)) != 1:
        raise UserError(f"{path}: {key} {sides} is not square, and this ViT reads squares only")
    return sides[0]


def _fill(tensors: dict[str, Tensor], c: VitConfig, biases: bool) -> None:
    """Zeros for what a file may leave out."""
    if "classifier.weight" not in tensors:
        tensors["classifier.weight"] = torch.zeros(c.classes, c.pre_logits or c.dim)
        tensors["classifier.bias"] = torch.zeros(c.classes)
    if not biases:
        for i in range(c.depth):
            tensors |= {f"layers.{i}.attention.{part}_proj.bias": torch.zeros(c.dim) for part in "qkv"}


def _scaling(folder: Path, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, from preprocessor_config.json where there is one."""
    path = folder / "preprocessor_config.json"
    given = read_json(path) if path.is_file() else {}
    found = [tuple(given.get(key) or MIDDLE)[:channels] for key in ("image_mean", "image_std")]
    return found[0], found[1]


# ---- writing


def obstacles(c: VitConfig) -> list[str]:
    """The settings that `ViTForImageClassification` cannot express. Positions of other kinds become its table."""
    wrong = {
        "pool=mean (it reads the class token)": c.pool == "mean",
        f"stem={c.stem} (it has patches)": c.stem != "patch",
        "positions=relative (it has a table)": c.positions == "relative",
        f"pre_logits={c.pre_logits} (it has none)": c.pre_logits is not None,
        f"order={c.order} (it has 'sf' repeated)": orders(c)[0] != "sf" * c.depth + "n",
    }
    return [f"model.{what}" for what, is_so in wrong.items() if is_so]


def write(
    model: ImageClassifier,
    c: VitConfig,
    labels: list[str],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    folder: Path,
) -> list[str]:
    """Writes config, weights and what the image processor needs; returns what a user should know."""
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in named_tensors(model, c).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(published(c, labels), indent=1, ensure_ascii=False))
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": c.image_size, "width": c.image_size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(mean),
        "image_std": list(std),
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=1))
    notes = []
    if c.dropout:
        notes.append("transformers' ViT has no dropout inside the feed-forward network: it matters to training alone")
    return notes


def published(c: VitConfig, labels: list[str]) -> dict[str, Any]:
    """Our numbers as theirs."""
    return {
        "model_type": "vit",
        "architectures": ["ViTForImageClassification"],
        "hidden_size": c.dim,
        "num_hidden_layers": c.depth,
        "num_attention_heads": c.heads,
        "intermediate_size": c.ffn_dim,
        "hidden_act": {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh"}[c.activation],
        "hidden_dropout_prob": c.dropout,
        "attention_probs_dropout_prob": c.attention_dropout,
        "layer_norm_eps": c.eps,
        "image_size": c.image_size,
        "patch_size": c.patch,
        "num_channels": c.channels,
        "qkv_bias": True,
        "id2label": {str(i): name for i, name in enumerate(labels)},
        "label2id": {name: i for i, name in enumerate(labels)},
        "dtype": "float32",
    }


@torch.no_grad()
def named_tensors(model: ImageClassifier, c: VitConfig) -> dict[str, Tensor]:
    """Our weights by the names on disk."""
    own: Any = model
    source, places = own.source, (c.image_size // c.patch) ** 2
    kernel = source.patches.project.weight.unflatten(1, (c.channels, c.patch, c.patch))
    nowhere = torch.zeros(1, 1 + places, c.dim, device=kernel.device)
    out = {
        "vit.embeddings.cls_token": source.prefix[None],
        "vit.embeddings.position_embeddings": source.positions(nowhere),  # whatever they are made of
        "vit.embeddings.patch_embeddings.projection.weight": kernel,
        "vit.embeddings.patch_embeddings.projection.bias": source.patches.project.bias,
    }
    for i in range(c.depth):
        layers, name = own.encoder.layers, f"vit.encoder.layer.{i}"
        attention, feed = layers[f"{2 * i}s"], layers[f"{2 * i + 1}f"]
        for word, weight, bias in zip(
            ("query", "key", "value"), attention.layer.qkv.weight.chunk(3), _bias(attention.layer.qkv).chunk(3)
        ):
            out[f"{name}.attention.attention.{word}.weight"] = weight
            out[f"{name}.attention.attention.{word}.bias"] = bias
        _put(out, f"{name}.attention.output.dense", attention.layer.out)
        _put(out, f"{name}.layernorm_before", attention.norm)
        _put(out, f"{name}.intermediate.dense", feed.layer.inner)
        _put(out, f"{name}.output.dense", feed.layer.outer)
        _put(out, f"{name}.layernorm_after", feed.norm)
    _put(out, "vit.layernorm", own.encoder.layers[f"{2 * c.depth}n"].norm)
    _put(out, "classifier", own.head)
    return out


def _put(out: dict[str, Tensor], name: str, module: Any) -> None:
    out[f"{name}.weight"], out[f"{name}.bias"] = module.weight, _bias(module)


def _bias(module: Any) -> Tensor:
    """Theirs has biases everywhere, so an absent one is zero."""
    return torch.zeros(len(module.weight)) if module.bias is None else module.bias
