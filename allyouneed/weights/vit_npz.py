"""Vision Transformers as Google publishes them: one .npz of arrays in JAX's layout, from which all numbers are read.

Three generations of names are known: the first of 2020, Linen's, which count each kind of layer by itself, and
big_vision's, which may hold all layers in one array with the layer as its first axis. The hybrids with a ResNet, too.
"""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from allyouneed.errors import UserError
from allyouneed.models.vit import VitConfig, vit
from allyouneed.nn.classifier import ImageClassifier
from allyouneed.weights.rename import Row, in_stack, load

PREFIXES = ("opt/target/", "target/", "params/img/", "params/")
BLOCK = "Transformer/encoderblock"
LAYER = rf"{BLOCK}_(?P<i>\d+)/"
ATTENTION = rf"{LAYER}MultiHeadDotProductAttention_[01]/"
NORM = {"scale": "weight", "bias": "bias"}


def _transposed(kernel: Tensor) -> list[Tensor]:
    return [kernel.T]  # in out -> out in


def _heads_in(kernel: Tensor) -> list[Tensor]:
    return [kernel.flatten(1).T]  # d h k -> (h k) d


def _heads_out(kernel: Tensor) -> list[Tensor]:
    return [kernel.flatten(0, 1).T]  # h k d -> d (h k)


def _kernel(kernel: Tensor) -> list[Tensor]:
    return [kernel.permute(3, 2, 0, 1)]  # y x c d -> d c y x


def _flat(tensor: Tensor) -> list[Tensor]:
    return [tensor.flatten()]


def _sublayer(theirs: str, letter: str, ours: str, change: Any = None) -> Row:
    return Row(theirs, (in_stack("sf", "encoder", letter, ours),), change)


def _residual(theirs: str, ours: str, change: Any) -> Row:
    """A row of the hybrid's ResNet, whose blocks and units count from 1."""

    def name(match: re.Match[str]) -> str:
        return match.expand(rf"source.patches.0.stages.{int(match['i']) - 1}.{int(match['j']) - 1}.{ours}")

    return Row(rf"block(?P<i>\d+)/unit(?P<j>\d+)/{theirs}", (name,), change)


def table(depth: int, patches: str) -> list[Row]:
    """The rows for a model of so many layers whose last product before them is called `patches`."""
    return [
        Row("cls", ("source.prefix",), lambda t: [t[0]]),
        Row("Transformer/posembed_input/pos_embedding", ("source.positions.table",), lambda t: [t[0]]),
        Row("embedding/kernel", (f"{patches}.weight",), lambda t: [t.permute(3, 2, 0, 1).flatten(1)]),
        Row("embedding/bias", (f"{patches}.bias",)),
        *(row for theirs, ours in NORM.items() for row in _norms(theirs, ours, depth)),
        *(row for k, word in enumerate(("query", "key", "value")) for row in _projection(k, word)),
        *(row for k, word in enumerate(("inner", "outer")) for row in _dense(k, word)),
        _sublayer(f"{ATTENTION}out/kernel", "s", "layer.out.weight", _heads_out),
        _sublayer(f"{ATTENTION}out/bias", "s", "layer.out.bias"),
        Row("pre_logits/kernel", ("pool.dense.weight",), _transposed),
        Row("pre_logits/bias", ("pool.dense.bias",)),
        Row("head/kernel", ("head.weight",), _transposed),
        Row("head/bias", ("head.bias",)),
        Row("conv_root/kernel", ("source.patches.0.stem.conv.weight",), _kernel),
        _residual(r"conv(?P<k>\d)/kernel", r"branch.conv\g<k>.weight", _kernel),
        _residual("conv_proj/kernel", "shortcut.conv.weight", _kernel),
    ]


def _norms(theirs: str, ours: str, depth: int) -> list[Row]:
    return [
        _sublayer(rf"{LAYER}LayerNorm_0/{theirs}", "s", f"norm.{ours}"),
        _sublayer(rf"{LAYER}LayerNorm_[12]/{theirs}", "f", f"norm.{ours}"),
        Row(f"Transformer/encoder_norm/{theirs}", (f"encoder.layers.{2 * depth}n.norm.{ours}",)),
        Row(f"gn_root/{theirs}", (f"source.patches.0.stem.norm.{ours}",), _flat),
        _residual(rf"gn(?P<k>\d)/{theirs}", rf"branch.norm\g<k>.{ours}", _flat),
        _residual(f"gn_proj/{theirs}", f"shortcut.norm.{ours}", _flat),
    ]


def _projection(k: int, word: str) -> list[Row]:
    return [
        _sublayer(rf"{ATTENTION}{word}/kernel", "s", f"layer.qkv.weight[{k}]", _heads_in),
        _sublayer(rf"{ATTENTION}{word}/bias", "s", f"layer.qkv.bias[{k}]", _flat),
    ]


def _dense(k: int, word: str) -> list[Row]:
    return [
        _sublayer(rf"{LAYER}MlpBlock_[03]/Dense_{k}/kernel", "f", f"layer.{word}.weight", _transposed),
        _sublayer(rf"{LAYER}MlpBlock_[03]/Dense_{k}/bias", "f", f"layer.{word}.bias"),
    ]


def read_npz(path: Path) -> dict[str, Tensor]:
    """All arrays by their names, less a prefix that says where an optimiser kept them. Nothing is unpickled."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: torch.from_numpy(np.array(arrays[name], np.float32)) for name in arrays.files}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # what a damaged or hostile file raises is beyond listing
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} cannot be read as arrays, and nothing in it was run ({reason})") from None
    for prefix in PREFIXES:
        if f"{prefix}embedding/kernel" in found:
            return {name.removeprefix(prefix): array for name, array in found.items() if name.startswith(prefix)}
    return found


def _of_2020(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """big_vision's arrays in the older form: layers apart, and the class token first in the table of positions."""
    new: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(f"{BLOCK}/"):
            rest = name.removeprefix(f"{BLOCK}/")
            new |= {f"{BLOCK}_{i}/{rest}": layer for i, layer in enumerate(tensor)}
        elif name == "pos_embedding":
            nothing = tensor.new_zeros(1, int("cls" in tensors), tensor.shape[2])  # there the token's own is in `cls`
            new["Transformer/posembed_input/pos_embedding"] = torch.cat([nothing, tensor], dim=1)
        else:
            new[name] = tensor
    return new


def load_npz(path: str | Path, dropout: float = 0.0) -> tuple[ImageClassifier, VitConfig]:
    """The model in an official .npz, in eval mode; `models.vit.at_resolution` brings it to another size of image.

    The trap: pixels go from -1 to 1 (mean and deviation 0.5), and the heads in `imagenet21k/` are zeros.
    """
    path = Path(path)
    tensors = _of_2020(read_npz(path))
    config = _numbers(tensors, dropout, path)
    model = vit(config)
    patches = "source.patches.1.project" if config.stem == "resnet" else "source.patches.project"
    load(model, tensors, table(config.depth, patches), str(path))
    return model.eval(), config


def _numbers(tensors: dict[str, Tensor], dropout: float, path: Path) -> VitConfig:
    """The sizes of the arrays as our numbers; the official code has GELU by tanh, and an epsilon of 1e-6."""
    first = f"{BLOCK}_0/"
    query = next((t for name, t in tensors.items() if name.startswith(first) and name.endswith("query/kernel")), None)
    dense = next((t for name, t in tensors.items() if name.startswith(first) and name.endswith("Dense_0/kernel")), None)
    positions = tensors.get("Transformer/posembed_input/pos_embedding")
    if query is None or dense is None or positions is None or "embedding/kernel" not in tensors:
        raise UserError(f"{path} holds no Vision Transformer of the official code: it has {', '.join(tensors)[:120]}")
    if "head/kernel" not in tensors:
        raise UserError(f"{path} has no head (head/kernel); give the file of a classifier")
    side, _, channels, dim = tensors["embedding/kernel"].shape
    places = positions.shape[1] - int("cls" in tensors)
    blocks = {int(m[1]): 0 for name in tensors if (m := re.match(r"block(\d+)/", name))}
    for i in blocks:
        blocks[i] = len({name.split("/")[1] for name in tensors if name.startswith(f"block{i}/")})
    patch = side * (4 << (len(blocks) - 1)) if blocks else side
    if dim % query.shape[1]:
        raise UserError(f"{path}: {query.shape[1]} heads do not share a width of {dim}")
    return VitConfig(
        classes=tensors["head/kernel"].shape[1],
        channels=tensors["conv_root/kernel"].shape[2] if blocks else channels,
        image_size=math.isqrt(places) * patch,
        patch=patch,
        dim=dim,
        heads=query.shape[1],
        ffn_dim=dense.shape[1],
        depth=len({name.split("/")[1] for name in tensors if name.startswith(f"{BLOCK}_")}),
        stem="resnet" if blocks else "patch",
        resnet="-".join(str(blocks[i]) for i in sorted(blocks)) or "3-4-9",
        pool="token" if "cls" in tensors else "mean",
        pre_logits=tensors["pre_logits/kernel"].shape[1] if "pre_logits/kernel" in tensors else None,
        activation="gelu_tanh",
        dropout=dropout,
    )
