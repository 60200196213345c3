"""Pictures of images: where a patch looks, and what of the image has reached the answer, layer by layer."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from allyouneed.errors import UserError
from allyouneed.tracing.manifest import Space
from allyouneed.tracing.maps import ramp_of, shares
from allyouneed.tracing.pictures import LOSSLESS, picture
from allyouneed.tracing.rollout import rollout
from allyouneed.tracing.sheet import Sheet, capital, legend
from allyouneed.tracing.svg import colour, element, figure, text, title
from allyouneed.tracing.trace import Trace
from allyouneed.tracing.view import Wanted, ceiling, view

SIDE, GAP = 216.0, 18.0
ORANGE = "#d55e00"


class Panel(NamedTuple):
    """A picture of the image's size: the image, weights as colours, or the image dimmed where there is little weight."""

    name: str
    weights: np.ndarray | None = None  # one for each item
    dims: bool = False


def image(trace: Trace, wanted: Wanted) -> Sheet:
    """Where one item looks: a patch, or the class token where no `query` is given."""
    seen = view(trace, wanted)
    space = _grid(trace, seen.relation.keys)
    weights, _, head = seen.head(wanted.head)
    query = seen.row(_asking(space) if wanted.query is None else wanted.query)
    row, top = weights[query], seen.top(weights[query, space.prefix :])
    who = seen.queries[query] if query < space.prefix else f"patch {seen.queries[query]}"
    panels = [Panel(f"{who} looks"), Panel("at", row)] + (
        [] if seen.signed else [Panel("image, dimmed elsewhere", row, True)]
    )
    rest = [f"{name} {row[i]:.1%}" for i, name in enumerate(space.items[: space.prefix])]
    below = f"{trace.manifest.model.name}. Patches are named by row and column." + (
        f" At {', '.join(rest)}." if rest else ""
    )
    mark = query if seen.relation.queries == seen.relation.keys else None
    drawn = _panels(trace, space, panels, top, mark, seen.signed)
    return Sheet(f"{capital(seen.where)}, {head}", below, [drawn, legend(top, seen.signed)], seen.note)


def rolled(trace: Trace, wanted: Wanted) -> Sheet:
    """Attention rollout after each layer, from the class token, or from all patches alike."""
    seen = view(trace, wanted._replace(layer=0))
    space = _grid(trace, seen.relation.keys)
    if seen.signed or seen.relation.queries != seen.relation.keys:
        raise UserError(f"{seen.relation.title} cannot be rolled out: that needs weights from 0 of a space on itself")
    reached = rollout([trace.weights(seen.name, layer) for layer in range(len(seen.relation.layers))])
    query = wanted.query if wanted.query is not None else (0 if space.prefix else None)
    rows = [after.mean(0) if query is None else after[seen.row(query)] for after in reached]
    panels = [Panel("image"), *(Panel(f"after layer {i + 1}", row) for i, row in enumerate(rows))]
    panels.append(Panel("image, dimmed by the last", rows[-1], True))
    top = ceiling(max(float(row[space.prefix :].max()) for row in rows))
    whose = "all patches" if query is None else seen.queries[query]
    below = f"How much of each patch has reached {whose}; half of each layer is taken as passed on unchanged."
    return Sheet("Attention rollout", below, [_panels(trace, space, panels, top, query), legend(top)])


def _grid(trace: Trace, name: str) -> Space:
    space = trace.manifest.spaces.get(name)
    if space is None or space.kind != "grid":
        raise UserError(f'what is looked at here, {name!r}, is not an image but a text; draw "attention" or "lines"')
    return space


def _asking(space: Space) -> int:
    """The class token, or else the patch in the middle."""
    return 0 if space.prefix else space.rows // 2 * space.columns + space.columns // 2


def _panels(
    trace: Trace, space: Space, panels: Sequence[Panel], top: float, mark: int | None, signed: bool = False
) -> str:
    """Panels in rows of four; `mark` is the item that looks."""
    high, across, parts = SIDE * space.rows / space.columns, min(len(panels), 4), []
    for i, panel in enumerate(panels):
        x, y = i % across * (SIDE + GAP), 16 + i // across * (high + GAP + 16)
        plain = panel.weights is None or panel.dims
        drawn = [_photo(trace, space, high) if plain else "", *_weighed(space, panel, top, signed, high)]
        words = text(panel.name, x=0, y=-5, font_size=11, fill="currentColor")
        frame = element("rect", width=SIDE, height=high, fill="none", stroke="currentColor", stroke_width=0.5)
        place = f"translate({x:g} {y:g})"
        parts.append(element("g", words, *drawn, frame, _frame(space, mark, high), transform=place, class_="panel"))
    rows = -(-len(panels) // across)
    return figure(across * (SIDE + GAP) - GAP + 1, rows * (high + GAP + 16) - GAP + 2, "where the model looks", *parts)


def _photo(trace: Trace, space: Space, high: float) -> str:
    if space.picture is None:
        return element("rect", width=SIDE, height=high, fill="#eceef2")
    pixels = trace.arrays[space.picture].transpose(2, 0, 1)
    style = "image-rendering:pixelated" if max(pixels.shape[1:]) <= LOSSLESS else None
    return element("image", href=picture(pixels), width=SIDE, height=high, preserveAspectRatio="none", style=style)


def _weighed(space: Space, panel: Panel, top: float, signed: bool, high: float) -> Iterator[str]:
    """A box for each patch: of its weight's colour, or of darkness where the weight is small."""
    if panel.weights is None:
        return
    wide, tall = SIDE / space.columns, high / space.rows
    cells = panel.weights[space.prefix :].reshape(space.rows, space.columns)
    most = float(cells.max()) or 1.0
    place = shares(cells, top, signed)
    boxes = []
    for y, x in np.ndindex(cells.shape):
        look: dict[str, object] = {"fill": colour(float(place[y, x]), ramp_of(signed))}
        if panel.dims:
            look = {"fill": "#000000", "fill_opacity": f"{0.85 * (1 - max(float(cells[y, x]), 0.0) / most):.3f}"}
        says = title(f"{y + 1},{x + 1}: {cells[y, x]:.4f}")
        boxes.append(element("rect", says, x=x * wide, y=y * tall, width=wide, height=tall, **look))
    yield element("g", *boxes, shape_rendering="crispEdges", class_="dimmed" if panel.dims else "heat")


def _frame(space: Space, mark: int | None, high: float) -> str:
    if mark is None or mark < space.prefix:
        return ""
    y, x = divmod(mark - space.prefix, space.columns)
    wide, tall = SIDE / space.columns, high / space.rows
    box = dict(x=x * wide, y=y * tall, width=wide, height=tall, fill="none")
    pale = element("rect", stroke="#ffffff", stroke_width=4, **box)
    return pale + element("rect", stroke=ORANGE, stroke_width=2, class_="query", **box)
