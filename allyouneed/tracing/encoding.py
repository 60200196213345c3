"""How a layer's map is kept: as weights or as q and k, whichever is smaller; small pictures of it; figures of each head.

What needs the whole map goes through it a block of rows at a time, so that a long text's map never lies in memory whole.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from allyouneed.tracing.manifest import Array, Layer, Space
from allyouneed.tracing.trace import softmax

OVERVIEW, POOLED = 48, 256
"""Sides of the small pictures, at most."""

BUDGET = 40e6
"""Bytes of a trace's arrays from which on it is narrowed to float16, then pooled."""


class Map(NamedTuple):
    """Weights of any origin, by rows."""

    heads: int
    n: int
    m: int
    rows: Callable[[int, int], np.ndarray]  # first, last -> h r m, float32

    @classmethod
    def of(cls, weights: np.ndarray) -> "Map":  # h n m
        heads, n, m = weights.shape
        return cls(heads, n, m, lambda first, last: weights[:, first:last])

    @classmethod
    def made(cls, q: np.ndarray, k: np.ndarray, scale: float, visible: np.ndarray) -> "Map":  # h n k, h m k, 1|h n m
        turned = np.ascontiguousarray(k.swapaxes(-1, -2)) * np.float32(scale)

        def rows(first: int, last: int) -> np.ndarray:
            return softmax(q[:, first:last] @ turned, visible[:, first:last])

        return cls(q.shape[0], q.shape[1], k.shape[1], rows)


def blocks(n: int, count: int) -> Iterator[tuple[int, int]]:
    """`count` stretches that part 0 ... n evenly, or n of them if that is less."""
    count = min(n, count)
    for i in range(count):
        yield i * n // count, (i + 1) * n // count


def pooled(map: Map, side: int) -> tuple[np.ndarray, float]:  # h y x, uint8
    """The largest of each block, as 255 * sqrt(share of the largest of all), and that largest."""
    columns = [first for first, _ in blocks(map.m, side)]
    largest = [
        np.maximum.reduceat(np.abs(map.rows(first, last)).max(1), columns, axis=-1)
        for first, last in blocks(map.n, side)
    ]
    values = np.stack(largest, axis=1) if largest else np.zeros((map.heads, 0, 0), np.float32)
    most = float(values.max(initial=0.0))
    return np.rint(255 * np.sqrt(values / (most or 1.0))).astype(np.uint8), most or 1.0


def figures(map: Map, apart: Callable[[int, int], np.ndarray] | None) -> tuple[list[float], list[float]]:
    """Per head the mean entropy of a row in bits, and the mean distance that it looks over: means of rows that see."""
    entropy, distance = np.zeros(map.heads), np.zeros(map.heads)
    rows = np.zeros(map.heads)
    for first, last in blocks(map.n, max(1, map.n // 128)):
        weights = map.rows(first, last)
        rows += (weights.sum(-1) > 0).sum(-1)
        entropy -= (weights * np.log2(np.where(weights > 0, weights, 1))).sum((-1, -2))
        if apart is not None:
            distance += (weights * apart(first, last)).sum((-1, -2))
    rows = np.maximum(rows, 1)
    return [round(float(x), 5) for x in entropy / rows], (
        [round(float(x), 5) for x in distance / rows] if apart is not None else []
    )


def distances(space: Space, n: int) -> Callable[[int, int], np.ndarray]:
    """How far items lie apart, by rows: in a row of tokens by their number, on a grid as the crow flies; a prefix lies
    nowhere, at distance 0."""
    places = np.arange(n, dtype=np.float32)[:, None]
    if space.kind == "grid" and space.columns:
        cells = np.maximum(np.arange(n) - space.prefix, 0)
        places = np.stack([cells // space.columns, cells % space.columns], axis=1).astype(np.float32)
    somewhere = np.arange(n) >= space.prefix

    def rows(first: int, last: int) -> np.ndarray:  # r n
        apart = np.sqrt(((places[first:last, None] - places[None]) ** 2).sum(-1))
        return np.where(somewhere[first:last, None] & somewhere[None], apart, 0)

    return rows


class Kept:
    """A layer in the making: its arrays under their names, and its map, of which narrower pictures can still be made."""

    def __init__(self, layer: Layer, name: str, map: Map, arrays: dict[str, np.ndarray]):
        self.layer, self.name, self.map, self.arrays = layer, name, map, arrays
        if map.n * map.m > OVERVIEW**2:
            picture, layer.overview_max = pooled(map, OVERVIEW)
            layer.overview = self.put("overview", picture)

    def put(self, kind: str, array: np.ndarray) -> Array:
        """Under a name of its own, which is what a layer holds of it."""
        self.arrays[f"{self.name}.{kind}"] = array
        return Array(f"{self.name}.{kind}")

    @property
    def large(self) -> list[str]:
        return [name for name in (self.layer.weights, self.layer.q, self.layer.k) if name is not None]

    def size(self) -> int:
        mask = [] if self.layer.visible is None else [self.layer.visible]
        return sum(self.arrays[name].nbytes for name in [*self.large, *mask])

    def narrow(self) -> None:
        for name in self.large:
            self.arrays[name] = self.arrays[name].astype(np.float16)

    def pool(self) -> None:
        picture, self.layer.overview_max = pooled(self.map, POOLED)
        for name in self.large:
            del self.arrays[name]
        self.layer.weights = self.layer.q = self.layer.k = self.layer.visible = None
        self.layer.pooled = self.put("pooled", picture)


def within(kept: list[Kept], arrays: dict[str, np.ndarray], budget: float) -> list[str]:
    """Brings the arrays within the budget; what was done for that, in sentences."""

    def over() -> bool:
        return sum(array.nbytes for array in arrays.values()) > budget

    notes = []
    if over():
        for one in kept:
            one.narrow()
        notes.append("The maps are kept in float16: with all their digits the trace would be too large.")
    coarse: list[str] = []
    for one in sorted(kept, key=lambda one: -one.size()):  # of layers of one size the earliest
        if not over():
            break
        if one.large:
            one.pool()
            coarse.append(one.layer.module)
            _forget_masks(kept, arrays)
    if coarse:
        notes.append(
            f"Of {len(coarse)} of {len(kept)} layers only a picture of {POOLED} x {POOLED} of each head is kept, as the "
            f"trace would be too large otherwise: {', '.join(coarse)}. Record a shorter input to see their numbers."
        )
    return notes


def _forget_masks(kept: list[Kept], arrays: dict[str, np.ndarray]) -> None:
    """Those of layers without numbers, which nobody can look up."""
    named = {one.layer.visible for one in kept}
    for name in [name for name in arrays if name.startswith("visible.") and name not in named]:
        del arrays[name]


def to_numpy(x: Tensor) -> np.ndarray:
    return x.detach().to("cpu", torch.float32).contiguous().numpy()
