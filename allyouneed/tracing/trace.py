"""A trace: what one input did in a model, as one file that anyone can open without the model.

The file is a safetensors file whose header holds the manifest as JSON: raw arrays, nothing that runs.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from allyouneed.errors import UserError
from allyouneed.tracing.manifest import VERSION, Array, Layer, Manifest, Relation

KEY = "allyouneed-trace"
"""Where the manifest stands in the file's header."""

TYPES = {"float32", "float16", "int32", "uint8"}


class Trace:
    """A manifest and its arrays by name. See `allyouneed.tracing.manifest` for what they mean."""

    def __init__(self, manifest: Manifest, arrays: dict[str, np.ndarray]) -> None:
        self.manifest = manifest
        self.arrays = arrays
        self._check()

    def save(self, path: str | Path) -> Path:
        """Writes the trace whole or not at all."""
        path = Path(path)
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            beside.write_bytes(self.to_bytes())
            os.replace(beside, path)
        except OSError as error:
            raise UserError(f"cannot write the trace {path}: {error.strerror or error}") from None
        finally:
            beside.unlink(missing_ok=True)
        return path

    def to_bytes(self) -> bytes:
        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays.items()}
        content: bytes = save(arrays, {KEY: self.manifest.model_dump_json()})
        return content

    @classmethod
    def load(cls, path: str | Path) -> "Trace":
        """Reads what `save` wrote. UserError if it is no trace, or one of a later version."""
        try:
            with safe_open(path, framework="numpy") as file:
                text = (file.metadata() or {}).get(KEY)
                if text is None:
                    raise UserError(f"{path} is a safetensors file but not a trace: its header has no {KEY}")
                manifest = _manifest(text, path)
                return cls(manifest, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except OSError as error:
            raise UserError(f"cannot read the trace {path}: {error.strerror or error}") from None
        except SafetensorError as error:
            raise UserError(f"{path} is not a trace, or is cut short: {error}") from None

    def weights(self, relation: str, layer: int = 0) -> np.ndarray:  # h n m
        """The weights of one layer, made now if only q and k were kept. NaN never; masked cells are 0."""
        where = self.manifest.relations.get(relation)
        if where is None:
            raise UserError(
                f"the trace has no relation {relation!r}; it has {', '.join(self.manifest.relations) or 'none'}"
            )
        if not 0 <= layer < len(where.layers):
            raise UserError(f"{relation} has {len(where.layers)} layers, counted from 0; there is no layer {layer}")
        return self._weights(where.layers[layer])

    def _weights(self, layer: Layer) -> np.ndarray:
        if layer.weights is not None:
            return np.asarray(self.arrays[layer.weights], np.float32)
        if layer.q is None or layer.k is None:
            raise UserError(f"of {layer.module} only a pooled map was kept; record fewer layers or a shorter input")
        q, k = (np.asarray(self.arrays[name], np.float32) for name in (layer.q, layer.k))
        scores = q @ k.swapaxes(-1, -2) * np.float32(layer.scale)
        return softmax(scores, self.visible(layer))

    def visible(self, layer: Layer) -> np.ndarray:  # 1 n m or h n m, bool
        """Which cells of a layer may be looked at."""
        n, m = self._shape(layer)
        seen = np.ones((1, n, m), bool) if layer.visible is None else self.arrays[layer.visible].astype(bool)
        return np.tril(seen, m - n) if layer.causal else seen

    def _shape(self, layer: Layer) -> tuple[int, int]:
        if layer.weights is not None:
            return self.arrays[layer.weights].shape[1:]
        if layer.q is None or layer.k is None:
            raise UserError(f"of {layer.module} only a pooled map was kept; record fewer layers or a shorter input")
        return self.arrays[layer.q].shape[1], self.arrays[layer.k].shape[1]

    def html(self, live: Mapping[str, Any] | None = None, other: "Trace | None" = None) -> str:
        """The explorer with this trace inside: one page that needs nothing else. `other` is one to compare with.

        `live` tells the page of a server where it may ask for more, see `allyouneed.serving.explore`.
        """
        from allyouneed.tracing.explorer import page

        return page(self, live, other)

    def plot(
        self, what: str = "attention", relation: str | None = None, layer: int = 0, head: int | None = None,
        query: int | None = None, output: str | Path | None = None, width: float | None = None, scale: float = 3.0,
    ) -> str:  # fmt: skip
        """A picture as SVG: attention, heads, lines, positions, beam, halting, image or rollout; all counted from 0.

        `head` None is the mean of all. Written to `output` too, as its end says: .svg, .png or .pdf. `width` is in mm;
        `scale`, of a PNG, in dots for each of 96 pixels of an inch.
        """
        from allyouneed.tracing.plot import plot
        from allyouneed.tracing.view import Wanted

        return plot(self, what, Wanted(relation, layer, head, query), output, width, scale)

    def show(self, height: int = 760) -> None:
        """The explorer in a Jupyter notebook."""
        from allyouneed.tracing.notebook import show

        show(self.html(), height)

    def _repr_html_(self) -> str:
        from allyouneed.tracing.notebook import frame

        return frame(self.html())

    def _check(self) -> None:
        for name in _named(self.manifest):
            if name not in self.arrays:
                raise UserError(f"the trace names an array {name!r} that it does not hold; it may be cut short")
        for name, array in self.arrays.items():
            if array.dtype.name not in TYPES:
                raise UserError(
                    f"array {name!r} of the trace is {array.dtype}; a trace holds {', '.join(sorted(TYPES))}"
                )
        for name, relation in self.manifest.relations.items():
            self._check_sizes(name, relation)

    def _check_sizes(self, name: str, relation: Relation) -> None:
        """Heads, rows and columns of each layer are those of its spaces."""
        for end in (relation.queries, relation.keys):
            if end not in self.manifest.spaces:
                raise UserError(f"relation {name!r} of the trace is of a space {end!r} that it does not have")
        n, m = (self.manifest.spaces[end].size for end in (relation.queries, relation.keys))
        for layer in relation.layers:
            h = layer.heads
            allowed: list[tuple[str | None, set[tuple[int, ...]]]] = [
                (layer.weights, {(h, n, m)}),
                (layer.q, {(h, n)}),
                (layer.k, {(h, m), (1, m)}),
                (layer.visible, {(1, n, m), (h, n, m)}),
            ]
            for array, shapes in allowed:
                if array is not None and not shapes & {self.arrays[array].shape[:2], self.arrays[array].shape}:
                    raise UserError(
                        f"array {array!r} of the trace has the shape {self.arrays[array].shape}, which is not that of "
                        f"{h} heads with {n} rows and {m} columns"
                    )

    def __repr__(self) -> str:
        size = sum(array.nbytes for array in self.arrays.values())
        relations = ", ".join(self.manifest.relations) or "no relations"
        return f"Trace({self.manifest.model.name}, {relations}, {size / 1e6:.1f} MB)"


def softmax(scores: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Over the last axis, among the visible; a row that may see nothing is all zero."""
    scores = np.where(visible, scores, -np.inf)
    highest = scores.max(-1, keepdims=True)
    powers = np.exp(scores - np.where(np.isfinite(highest), highest, 0))
    total = powers.sum(-1, keepdims=True)
    return powers / np.where(total > 0, total, 1)


def _manifest(text: str, path: str | Path) -> Manifest:
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{path} is a trace that this version cannot read (it reads version {VERSION}): {where}: {first['msg']}"
        ) from None


def _named(part: Any) -> Iterator[str]:
    """All names of arrays in a manifest."""
    if isinstance(part, Array):
        yield part
    elif isinstance(part, BaseModel):
        for _, value in part:
            yield from _named(value)
    elif isinstance(part, dict | list):
        for value in part.values() if isinstance(part, dict) else part:
            yield from _named(value)
