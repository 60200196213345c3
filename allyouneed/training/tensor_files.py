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
from torch import Tensor

from allyouneed.errors import UserError

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
"""The names that the file format has for them."""


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
            starts, second = _facts(file)
            for name in file.keys():  # noqa: SIM118
                shape = tuple(file.get_slice(name).get_shape())
                pieces.setdefault(name, []).append(Piece(starts.get(name, 0), path, name, shape))
            aliases |= second
    found = {name: Stored(tuple(sorted(parts))) for name, parts in pieces.items()}
    return found | {name: found[target] for name, target in aliases.items()}


def loaded(tensors: Mapping[str, Stored]) -> dict[str, Tensor]:
    """All of them read, tied names sharing one tensor."""
    read = {parts: parts[...] for parts in dict.fromkeys(tensors.values())}
    return {name: read[parts] for name, parts in tensors.items()}


def serialized(tensors: Mapping[str, Tensor], starts: Mapping[str, int] | None = None) -> Iterator[bytes | memoryview]:
    """A safetensors file, piece by piece: its header, then the bytes of each tensor, of which none is copied.

    A tensor's second name becomes an alias. `starts` says of which tensors these are rows only, and from which row on.
    The format is 8 bytes of length, a JSON header padded to 8 bytes, the data (https://huggingface.co/docs/safetensors).
    """
    first: dict[Any, str] = {}
    names = {
        name: first.setdefault(_view(tensor), name) if tensor.numel() else name for name, tensor in tensors.items()
    }
    kept = [name for name, stored_as in names.items() if name == stored_as]
    kept.sort(key=lambda name: (-tensors[name].element_size(), name))  # so that each begins at a multiple of its size
    metadata = {"format": "pt"}
    if aliases := {name: stored_as for name, stored_as in names.items() if name != stored_as}:
        metadata["aliases"] = json.dumps(aliases)
    if starts:
        metadata["starts"] = json.dumps(dict(starts))
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in kept:
        tensor, begin = tensors[name], end
        end += tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in kept:
        yield tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _view(tensor: Tensor) -> tuple[Any, ...]:
    """What two names of one tensor have in common."""
    return (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), tensor.device)


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


def _facts(file: Any) -> tuple[dict[str, int], dict[str, str]]:
    """Where rows begin, and second names."""
    metadata = file.metadata() or {}
    return json.loads(metadata.get("starts", "{}")), json.loads(metadata.get("aliases", "{}"))
