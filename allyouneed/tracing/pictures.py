"""Images on a page: sheets of small pictures with captions, and who was taken for whom. Each function returns SVG."""

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from allyouneed.tracing.svg import CIVIDIS, colour, element, figure, raster, text, title

LOSSLESS = 64  # pixels: images up to this are drawn as they are, larger ones as JPEG
MOST_NAMED = 30  # classes whose cells can be drawn one by one
CELL = 30.0
LONGEST = 18


class Tile(NamedTuple):
    """A picture with a line or two under it, and what a browser shows on hover."""

    pixels: np.ndarray  # c y x, uint8
    captions: Sequence[str]
    hover: str = ""


def picture(pixels: np.ndarray) -> str:  # c y x, uint8 -> data address
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    out = io.BytesIO()
    kind = "png" if max(image.size) <= LOSSLESS else "jpeg"
    image.save(out, kind, **({"quality": 85} if kind == "jpeg" else {"optimize": True}))
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"


def sheet(tiles: Sequence[Tile], label: str, columns: int = 8, side: float = 92.0) -> str:
    """Pictures in rows, each in a square of the same size; small ones are enlarged without being smoothed."""
    lines = max((len(tile.captions) for tile in tiles), default=0)
    step, drop = side + 14, side + 8 + 14 * lines
    drawn = [_tile(tile, i % columns * step, i // columns * drop, side) for i, tile in enumerate(tiles)]
    rows = -(-len(tiles) // columns)
    return figure(min(len(tiles), columns) * step, rows * drop, label, *drawn, class_="figure sheet")


def _tile(tile: Tile, x: float, y: float, side: float) -> str:
    small = max(tile.pixels.shape[1:]) <= LOSSLESS
    image = element(
        "image", title(tile.hover) if tile.hover else "", href=picture(tile.pixels), x=x, y=y, width=side, height=side,
        style="image-rendering:pixelated" if small else None,
    )  # fmt: skip
    quiet = dict(font_size=11, fill="currentColor")
    names = [text(_cut(line), x=x, y=y + side + 13 + 14 * i, **quiet) for i, line in enumerate(tile.captions)]
    return image + "".join(names)


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def confusion_picture(counts: np.ndarray, classes: Sequence[str]) -> str:  # true x taken for
    """Rows are the true classes, columns what they were taken for; colours are shares of a row, numbers are counts."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    if len(classes) > MOST_NAMED:
        return _large(shares, len(classes))
    left = 34 + max(6.6 * len(_cut(name)) for name in classes)
    top, size = left + 10, CELL * len(classes)
    cells = [
        _cell(counts[i, j], float(shares[i, j]), j * CELL, i * CELL, f"{true} taken for {other}")
        for i, true in enumerate(classes)
        for j, other in enumerate(classes)
    ]
    names = [
        text(_cut(name), x=left - 6, y=top + (i + 0.65) * CELL, text_anchor="end") for i, name in enumerate(classes)
    ]
    names += [
        text(_cut(name), transform=f"translate({left + (j + 0.62) * CELL:g} {top - 6:g}) rotate(-90)")
        for j, name in enumerate(classes)
    ]
    names += [
        text("taken for →", x=left, y=12),
        text("← is", transform=f"translate(12 {top + size / 2:g}) rotate(-90)"),
    ]
    axis = element("g", *names, font_size=12, fill="currentColor")
    drawn = element("g", *cells, transform=f"translate({left:g} {top:g})", font_size=11)
    return figure(left + size + 4, top + size + 4, "which class is taken for which", axis, drawn, class_="figure map")


def _cell(count: int, share: float, x: float, y: float, what: str) -> str:
    says = f"{what}: {count:,} ({share:.1%})"
    box = element("rect", title(says), x=x, y=y, width=CELL, height=CELL, fill=colour(share))
    if not count:
        return box
    ink = "#1d2330" if share > 0.55 else "#ffffff"
    shown = f"{count:,}" if count < 10_000 else f"{count // 1000}k"
    return box + text(
        shown, x=x + CELL / 2, y=y + CELL / 2 + 4, text_anchor="middle", fill=ink, style="pointer-events:none"
    )


def _large(shares: np.ndarray, classes: int) -> str:
    """As a picture alone, a pixel for each pair: so many names could not be read."""
    size = 520.0
    image = element(
        "image", href=raster(shares, CIVIDIS), x=20, y=20, width=size, height=size, preserveAspectRatio="none",
        style="image-rendering:pixelated",
    )  # fmt: skip
    names = [text("taken for →", x=20, y=12), text("← is", transform=f"translate(12 {20 + size / 2:g}) rotate(-90)")]
    label = f"which of {classes} classes is taken for which"
    return figure(size + 24, size + 24, label, element("g", *names, font_size=12, fill="currentColor"), image)
