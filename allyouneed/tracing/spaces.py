"""The spaces of a trace: which positions are real, what they are called, and spaces made where nobody has named them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from allyouneed.errors import UserError
from allyouneed.tracing.manifest import Space
from allyouneed.tracing.standing import square

TITLES = {
    "source": "source", "target": "target", "read": "target, as it was read", "tokens": "text", "patches": "image",
    "places": "places",
}  # fmt: skip
ALIAS = {"read": "target", "target": "read"}
"""What a space is called instead where it is not given."""


class Side(NamedTuple):
    """A side of a map: its space by name, and which of the recorded positions are in it."""

    space: str
    kept: np.ndarray  # bool


class Spaces:
    """Finds the space of each side of each map, by what it is and by how many positions it has."""

    def __init__(self, given: Mapping[str, Space], image: bool):
        self.given = dict(given)
        self.used: dict[str, Space] = {}
        self.notes: list[str] = []
        self.main = "patches" if image else "tokens"
        self._found: dict[tuple[str, int], Side] = {}
        others = [name for name in given if name not in ("patches", "tokens")]
        if self.main not in given:  # a model of one space, whatever its caller calls it
            self.main = next(iter([name for name in ("tokens", "patches") if name in given] or others), self.main)

    def side(self, kind: str | None, real: np.ndarray, grid: tuple[int, int] | None = None) -> Side:
        """`kind` is the space's name, None the one that the model has; `real` says which positions are no padding."""
        name = self._name(kind or self.main)
        key = name, len(real)
        if key not in self._found:
            self._found[key] = self._new(name, real, grid)
        return self._found[key]

    def _name(self, kind: str) -> str:
        other = ALIAS.get(kind)
        if kind in self.given:
            return kind
        return other if other in self.given else ("target" if kind == "read" else kind)

    def _new(self, name: str, real: np.ndarray, grid: tuple[int, int] | None) -> Side:
        again = sum(known == name for known, _ in self._found) + 1
        title = f"{name}-{again}" if again > 1 else name
        space = self.given.get(name) if again == 1 else None
        kept = self._kept(name, space, real)
        self.used[title] = space if space is not None else made(name, title, int(kept.sum()), grid)
        if name in ("source", "tokens", "target", "read") and not kept.all():
            self.notes.append(f"Padding was removed from {title}: {int((~kept).sum())} of {len(kept)} positions.")
        return Side(title, kept)

    def _kept(self, name: str, space: Space | None, real: np.ndarray) -> np.ndarray:
        count = int(real.sum())
        if space is None or space.size == count:
            return real
        if space.size == len(real):  # the labels name padding too
            return np.ones_like(real)
        if space.size < count and space.kind == "sequence":
            return real & (np.cumsum(real) <= space.size)
        raise UserError(
            f"the labels of {name!r} are {space.size}, and the model was recorded with {count} positions there; give a "
            "label for each"
        )


def made(kind: str, name: str, size: int, grid: tuple[int, int] | None) -> Space:
    """A space that nobody has named: numbers for a text, cells for an image."""
    title = TITLES.get(kind, kind) + name[len(kind) :].replace("-", ", size ")
    found = (*grid, 0) if grid else (square(size) if kind == "patches" else None)
    if found is None:
        return Space(kind="sequence", title=title, items=[str(i + 1) for i in range(size)])
    rows, columns, prefix = found
    return Space(
        kind="grid", title=title, rows=rows, columns=columns, prefix=prefix,
        items=[f"[{i + 1}]" if prefix > 1 else "[CLS]" for i in range(prefix)],
    )  # fmt: skip
