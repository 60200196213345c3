"""From the names in a file to the names in a model: one table per publisher, and a load that forgives nothing.

A row of a table says what becomes of the names that match its pattern as a whole. A new name may end in `[k]`: the
tensor is part k of that weight, and the parts are joined along their first axis (q, k and v of others are one `qkv`
here).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from allyouneed.errors import UserError

Name = str | Callable[[re.Match[str]], str]
"""A new name: a template for `Match.expand`, or a function, where a layer's number has to be computed."""


class Row(NamedTuple):
    """Names that match `pattern` become `names`; none at all leaves the tensor out, on purpose.

    Each new name gets the whole tensor, or with `split` its piece of it.
    """

    pattern: str
    names: tuple[Name, ...] = ()
    split: Callable[[Tensor], Sequence[Tensor]] | None = None


class Renamed(NamedTuple):
    """What a table makes of a file."""

    tensors: dict[str, Tensor]  # by the new names
    unknown: list[str]  # names in the file that no row knows
    missing: list[str]  # parts without which a weight cannot be joined
    conflicts: list[str]  # new names to which the file gives two different values


def rename(tensors: Mapping[str, Tensor], table: Iterable[Row]) -> Renamed:
    """Applies the first row that matches each name."""
    rows = [(re.compile(row.pattern), row) for row in table]
    pieces: dict[str, Tensor] = {}
    unknown, conflicts = [], []
    for name, tensor in tensors.items():
        match, row = next(((m, row) for pattern, row in rows if (m := pattern.fullmatch(name))), (None, None))
        if match is None or row is None:
            unknown.append(name)
            continue
        values = row.split(tensor) if row.split else [tensor] * len(row.names)
        for new, value in zip(row.names, values, strict=True):
            new = match.expand(new) if isinstance(new, str) else new(match)
            if new in pieces and not torch.equal(pieces[new], value):
                conflicts.append(new)
            pieces[new] = value
    joined, missing = _join(pieces)
    return Renamed(joined, unknown, missing, conflicts)


def _join(pieces: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Joins `x[0]`, `x[1]` ... to x; the second result names the parts that are not there."""
    parts: dict[str, dict[int, Tensor]] = {}
    for name, tensor in pieces.items():
        whole, index = re.fullmatch(r"(.*?)(?:\[(\d+)\])?", name).groups()  # type: ignore[union-attr]
        parts.setdefault(whole, {})[int(index or 0)] = tensor
    missing = [f"{name}[{i}]" for name, found in parts.items() for i in range(max(found)) if i not in found]
    joined = {name: torch.cat([found[i] for i in sorted(found)]) for name, found in parts.items()}
    return joined, missing


def load(module: nn.Module, tensors: Mapping[str, Tensor], table: Iterable[Row], origin: str) -> None:
    """Puts the tensors of a file, renamed, into all weights of a module, or raises a UserError and changes nothing.

    `origin` names the file in the error, which lists each name that is missing, unexpected, double or misshapen.
    A table that the module uses in several places (tied embeddings) may stand in the file under any of its names.
    """
    renamed = rename(tensors, table)
    own = module.state_dict(keep_vars=True)
    given: dict[int, str] = {}  # which name filled each tensor of the module
    conflicts = list(renamed.conflicts)
    for name, value in renamed.tensors.items():
        if name in own:
            first = given.setdefault(id(own[name]), name)
            if first != name and not torch.equal(renamed.tensors[first], value):
                conflicts.append(f"{name} (here the same table as {first})")
    wrong = {
        "missing": [*renamed.missing, *(name for name in own if id(own[name]) not in given)],
        "unexpected": [*renamed.unknown, *(name for name in renamed.tensors if name not in own)],
        "given twice with different values": conflicts,
        "of another shape": [
            f"{name} ({_size(value)}, here {_size(own[name])})"
            for name, value in renamed.tensors.items()
            if name in own and value.shape != own[name].shape
        ],
    }
    if any(wrong.values()):
        complaints = "; ".join(f"{fault}: {', '.join(names)}" for fault, names in wrong.items() if names)
        raise UserError(f"{origin} does not fit this model: {complaints}")
    with torch.no_grad():
        for name in given.values():
            own[name].copy_(renamed.tensors[name])


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"


def in_stack(order: str, side: str, letter: str, rest: str) -> Name:
    """The name of a sublayer here, where layer i of others is `order`, as in `decoder.layers.4c.norm.weight`.

    The pattern's group `i` is the layer's number; `rest` is a template for what follows the sublayer.
    """

    def name(match: re.Match[str]) -> str:
        index = int(match["i"]) * len(order) + order.index(letter)
        return match.expand(rf"{side}.layers.{index}{letter}.{rest}")

    return name
