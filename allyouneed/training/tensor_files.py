"""Tensors in safetensors files: all in one, or the rows of each rank in a file of its own.

A shard's metadata says with which row of the full tensor its rows begin, so that any number of ranks can read what any
other number wrote: each takes the rows that it holds, from the files that have them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from allyouneed.errors import UserError


class Piece(NamedTuple):
    """Rows of a tensor, in a file."""

    start: int
    path: Path
    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Stored:
    """A tensor on disk, read when it is asked for: `stored[a:b]` are some of its rows, `stored[...]` is all of it."""

    pieces: tuple[Piece, ...]  # by their first row

    @property
    def shape(self) -> torch.Size:
        first = self.pieces[0].shape
        if len(self.pieces) == 1:
            return torch.Size(first)
        return torch.Size((sum(piece.shape[0] for piece in self.pieces), *first[1:]))

    def __getitem__(self, rows: slice | EllipsisType) -> Tensor:
        if not isinstance(rows, slice):
            parts = [_read(piece, None) for piece in self.pieces]
            return parts[0] if len(parts) == 1 else torch.cat(parts)
        start, stop, _ = rows.indices(self.shape[0])
        within = [
            (piece, max(start - piece.start, 0), min(stop - piece.start, piece.shape[0])) for piece in self.pieces
        ]
        found = [_read(piece, slice(a, b)) for piece, a, b in within if a < b]
        return torch.cat(found) if found else _read(self.pieces[0], slice(0, 0))


def stored(paths: Sequence[Path]) -> dict[str, Stored]:
    """The tensors of some files by name, unread; a second name of a tied tensor stands for the same pieces."""
    pieces: dict[str, list[Piece]] = {}
    aliases: dict[str, str] = {}
    for path in paths:
        with _opened(path) as file:
            facts = _facts(file)
            for name in file.keys():  # noqa: SIM118
                shape = tuple(file.get_slice(name).get_shape())
                pieces.setdefault(name, []).append(Piece(facts.get("starts", {}).get(name, 0), path, name, shape))
            aliases |= facts.get("aliases", {})
    found = {name: Stored(tuple(sorted(parts))) for name, parts in pieces.items()}
    return found | {name: found[target] for name, target in aliases.items()}


def loaded(tensors: Mapping[str, Stored]) -> dict[str, Tensor]:
    """All of them read, tied names sharing one tensor."""
    read = {parts: parts[...] for parts in dict.fromkeys(tensors.values())}
    return {name: read[parts] for name, parts in tensors.items()}


def serialized(tensors: Mapping[str, Tensor], starts: Mapping[str, int] | None = None) -> bytes:
    """A safetensors file; a tensor's second name becomes an alias, other shared memory is copied.

    `starts` says of which tensors these are rows only, and from which one on.
    """
    kept: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[Any, str] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        view = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), tensor.device)
        if tensor.numel() and view in seen:
            aliases[name] = seen[view]
            continue
        seen[view] = name
        value = tensor.detach().cpu().contiguous()
        shared = (address := value.untyped_storage().data_ptr()) in storages
        storages.add(address)
        kept[name] = value.clone() if shared else value
    # One entry only: the writer orders several at random, and equal weights should make equal files.
    if starts:
        return to_bytes(kept, {"shard": json.dumps({"starts": dict(starts), "aliases": aliases})})
    return to_bytes(kept, {"aliases": json.dumps(aliases)} if aliases else {"format": "pt"})


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (SafetensorError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is truncated or is not a safetensors file ({error}); use another copy") from None


def _read(piece: Piece, rows: slice | None) -> Tensor:
    with _opened(piece.path) as file:
        tensor: Tensor = file.get_tensor(piece.name) if rows is None else file.get_slice(piece.name)[rows]
    return tensor


def _facts(file: Any) -> dict[str, Any]:
    metadata = file.metadata() or {}
    if "shard" in metadata:
        facts: dict[str, Any] = json.loads(metadata["shard"])
        return facts
    return {"aliases": json.loads(metadata.get("aliases", "{}"))}
