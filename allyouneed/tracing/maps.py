"""Maps: who looks at whom, as cells of colour. Rows look, columns are looked at; what is masked is hatched."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from allyouneed.tracing.labels import label
from allyouneed.tracing.labels import width as width_of
from allyouneed.tracing.svg import CIVIDIS, SIGNED, colour, element, figure, raster, text, title

MASKED = "url(#masked)"
"""Fill of a cell that may not be looked at; the page holds the pattern once, see `masked_pattern`."""

CELLWISE = 48
"""Items of a side that are drawn cell by cell, each with its name; more are drawn as one picture."""

SIDE, WIDEST = 520.0, 15.0
"""Pixels of the longer side of such a picture, and the most of a cell's side."""

MOST = 1024
"""Dots of its side; of more items, the largest of a block is shown."""


def masked_pattern() -> str:
    """Hatching, so that masked cells do not pass for small weights."""
    line = element("path", d="M0 5L5 0", stroke="#8a8f98", stroke_width="0.9")
    pattern = element("pattern", line, id="masked", width=5, height=5, patternUnits="userSpaceOnUse")
    return element("defs", pattern)


def attention_map(
    weights: Any,  # n m
    queries: Sequence[str],
    keys: Sequence[str],
    name: str = "",
    visible: Any = None,  # n m
    looks: str = "looks",
    top: float = 1.0,
    signed: bool = False,
    cell: float | None = None,
) -> str:
    """One head's map; exact values on hover.

    Colours run from 0 to `top`, from -top to top if signed: with the same one, maps can be compared. `looks` names the
    rows' axis, `cell` is the side of a cell in pixels.
    """
    values = np.asarray(weights, np.float64)
    seen = np.ones(values.shape, bool) if visible is None else np.asarray(visible, bool)
    wide, tall = cell_of(queries, keys, cell)
    left, above = 26 + width_of(queries), (40 if name else 20) + width_of(keys)
    width, height = map_width(queries, keys, cell), max(above + tall * len(queries) + 4, 120.0 if name else 0.0)
    if max(values.shape) <= CELLWISE:
        drawn = [_cells(values, seen, queries, keys, wide, top, signed)]
    else:
        drawn = [*field(values, seen, wide * len(keys), tall * len(queries), top, signed)]
    head = text(name, x=0, y=13, font_size=13, font_weight=600, fill="currentColor") if name else ""
    names = _axes(queries, keys, left, above, (wide, tall), looks)
    body = element("g", *drawn, transform=f"translate({left:g} {above:g})", shape_rendering="crispEdges")
    return figure(width, height, f"{name}: who looks at whom", head, names, body, class_="figure map")


def map_width(queries: Sequence[str], keys: Sequence[str], cell: float | None = None) -> float:
    """The natural width of a map, in pixels."""
    return max(26 + width_of(queries) + cell_of(queries, keys, cell)[0] * len(keys) + 8, 110.0)


def cell_of(queries: Sequence[str], keys: Sequence[str], cell: float | None = None) -> tuple[float, float]:
    """Width and height of a cell: a square, but in a map of very many rows or columns."""
    longest = max(len(queries), len(keys))
    if longest > CELLWISE:
        return min(SIDE / len(keys), WIDEST), min(SIDE / len(queries), WIDEST)
    side = cell or (15.0 if longest <= 16 else 12.0)
    return side, side


def shares(values: np.ndarray, top: float, signed: bool) -> np.ndarray:
    """Where on the ramp of colours each value is, from 0 to 1."""
    part = values / (top or 1.0)
    return np.clip((part + 1) / 2 if signed else part, 0, 1)


def ramp_of(signed: bool) -> list[str]:
    return SIGNED if signed else CIVIDIS


def _cells(
    values: np.ndarray, seen: np.ndarray, queries: Sequence[str], keys: Sequence[str], cell: float, top: float,
    signed: bool,
) -> str:  # fmt: skip
    place, ramp, out = shares(values, top, signed), ramp_of(signed), []
    for i, j in np.ndindex(values.shape):
        allowed = seen[i, j]
        says = f"{queries[i]} → {keys[j]}: " + (f"{values[i, j]:.4f}" if allowed else "masked, may not look")
        fill = colour(float(place[i, j]), ramp) if allowed else MASKED
        kind = None if allowed else "masked"
        box = dict(x=j * cell, y=i * cell, width=cell, height=cell, fill=fill, class_=kind)
        out.append(element("rect", title(says), **box))
    return "".join(out)


def field(
    values: np.ndarray,
    seen: np.ndarray,
    width: float,
    height: float,
    top: float,
    signed: bool = False,
    most: int = MOST,
) -> Iterator[str]:
    """A map as one picture of a dot for each cell, and hatching over what is masked.

    Of more than `most` rows or columns the largest of a block is shown, or thin lines would be lost.
    """
    values, seen = pooled(np.where(seen, values, 0.0), most), pooled(seen.astype(float), most) > 0
    dots = raster(shares(values, top, signed), ramp_of(signed))
    style = "image-rendering:pixelated"
    yield element("image", href=dots, width=width, height=height, preserveAspectRatio="none", style=style)
    n, m = seen.shape
    y, x = height / n, width / m
    runs = [(i, *run) for i, row in enumerate(~seen) for run in _runs(row)]
    if runs:
        path = "".join(f"M{a * x:.2f} {i * y:.2f}H{b * x:.2f}v{y:.2f}H{a * x:.2f}z" for i, a, b in runs)
        yield element("path", d=path, fill="#ffffff")
        yield element("path", d=path, fill=MASKED, class_="masked")


def _runs(flags: np.ndarray) -> Iterator[tuple[int, int]]:
    """Where flags begin and end to be set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def pooled(values: np.ndarray, most: int = MOST) -> np.ndarray:
    """At most so many rows and columns, each the value of its block that is farthest from zero."""
    for axis in (0, 1):
        size = values.shape[axis]
        if size > most:
            starts = np.arange(most) * size // most
            low, high = (part.reduceat(values, starts, axis) for part in (np.minimum, np.maximum))
            values = np.where(-low > high, low, high)
    return values


def _axes(
    queries: Sequence[str], keys: Sequence[str], left: float, top: float, cell: tuple[float, float], looks: str
) -> str:
    (wide, tall), parts = cell, []
    for i in _named(len(queries), tall):
        parts.append(label(queries[i], x=left - 5, y=top + (i + 0.5) * tall + 3.5, text_anchor="end"))
    for j in _named(len(keys), wide):
        x = left + (j + 0.5) * wide + 3.5
        parts.append(label(keys[j], transform=f"translate({x:g} {top - 5:g}) rotate(-90)"))
    middle = top + tall * len(queries) / 2
    quiet = dict(font_size=10, class_="axis", fill="currentColor")
    parts.append(text("looked at →", x=left, y=top - width_of(keys) - 12, **quiet))
    parts.append(text(f"← {looks}", transform=f"translate(9 {middle:g}) rotate(-90)", text_anchor="middle", **quiet))
    return element("g", *parts, font_size=11 if min(cell) > 12 else 10, fill="currentColor")


def _named(count: int, cell: float, room: float = 11.0) -> range:
    """The items whose names have room: all, or every so many-th."""
    return range(0, count, max(1, -int(-room // cell)))
