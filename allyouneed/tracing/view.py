"""What a picture is of: one relation's layer and head, found in a trace, with labels for its rows and columns."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from allyouneed.errors import UserError
from allyouneed.tracing.manifest import Layer, Relation, Space
from allyouneed.tracing.trace import Trace


class Wanted(NamedTuple):
    """What was asked for; all counted from 0."""

    relation: str | None = None
    layer: int = 0
    head: int | None = None  # None: the mean of all
    query: int | None = None


class View(NamedTuple):
    """One layer of one relation, ready to be drawn."""

    name: str
    relation: Relation
    layer: int
    weights: np.ndarray  # h n m
    visible: np.ndarray  # h n m, bool
    queries: list[str]
    keys: list[str]
    note: str  # what a reader must know of the numbers

    @property
    def signed(self) -> bool:
        return self.relation.kind == "signed"

    def top(self, values: np.ndarray | None = None) -> float:
        """The end of the scale of colours: 1 where much is looked at, else a round number above the largest weight."""
        values = self.weights if values is None else values
        most = float(np.abs(values).max()) if values.size else 0.0
        return ceiling(most) if self.signed or most < 0.5 else 1.0

    def head(self, head: int | None) -> tuple[np.ndarray, np.ndarray, str]:
        """Weights n m, visible n m, and which head that is, as people count."""
        heads = len(self.weights)
        if head is None:
            which = "head 1" if heads == 1 else f"mean of {heads} heads"
            return self.weights.mean(0), np.asarray(self.visible.any(0)), which
        if not 0 <= head < heads:
            raise UserError(f"{self.where} has {heads} heads, counted from 0; there is no head {head}")
        return self.weights[head], self.visible[head], f"head {head + 1}"

    def row(self, query: int) -> int:
        if not 0 <= query < len(self.queries):
            raise UserError(f"{self.where} has {len(self.queries)} rows, counted from 0; there is no query {query}")
        return query

    @property
    def where(self) -> str:
        return f"{self.relation.title}, layer {self.layer + 1}"


def view(trace: Trace, wanted: Wanted) -> View:
    """The relation asked for, or else that between two texts, or the first. UserError where there is none such."""
    relations = trace.manifest.relations
    if not relations:
        raise UserError("the trace has no relations, so nobody looked at anything that could be drawn")
    name = wanted.relation or ("cross" if "cross" in relations else next(iter(relations)))
    if name not in relations or not 0 <= wanted.layer < len(relations[name].layers):
        trace.weights(name, wanted.layer)  # says what is wrong
    relation = relations[name]
    layer, spaces = relation.layers[wanted.layer], trace.manifest.spaces
    small = _small(trace, layer)
    weights = trace.weights(name, wanted.layer) if small is None else small
    shape = weights.shape
    visible = np.ones((1, 1, 1), bool) if small is not None else trace.visible(layer)
    queries, keys = (named(spaces.get(space)) for space in (relation.queries, relation.keys))
    note = relation.note
    if small is not None:
        note = f"{len(queries)} x {len(keys)} weights in blocks, of each the largest: no more was kept."
    return View(
        name, relation, wanted.layer, weights, np.broadcast_to(visible, shape), fitted(queries, shape[1]),
        fitted(keys, shape[2]), note,
    )  # fmt: skip


def _small(trace: Trace, layer: Layer) -> np.ndarray | None:  # h y x
    """The map that is left of a layer of which not all was kept."""
    kept = layer.pooled or layer.overview
    if layer.weights is not None or layer.q is not None or kept is None:
        return None
    roots = trace.arrays[kept].astype(np.float32) / 255
    small: np.ndarray = roots**2 * np.float32(layer.overview_max)
    return small


def named(space: Space | None) -> list[str]:
    """A label for each item; a grid's cells are named by row and column, from 1."""
    if space is None:
        return []
    if space.kind == "sequence":
        return list(space.items)
    cells = [f"{y + 1},{x + 1}" for y in range(space.rows) for x in range(space.columns)]
    return [*space.items[: space.prefix], *cells]


def fitted(labels: Sequence[str], count: int) -> list[str]:
    """As many labels as there are rows: of blocks the first item's, and numbers where there are none."""
    if len(labels) == count:
        return list(labels)
    if len(labels) > count:
        return [labels[i * len(labels) // count] for i in range(count)]
    return [str(i + 1) for i in range(count)]


def ceiling(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 ... times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return float(f"{next(f * power for f in (1, 2, 5, 10) if f * power >= value * 0.9999):.6g}")
