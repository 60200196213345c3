"""A picture as a file: a titled figure on white paper, as SVG, PNG or PDF.

PNG and PDF are set by `typst`: of what Python can install without a system library, it alone has a text engine that
joins Arabic, turns Hebrew round and falls back on a font for Chinese, and writes PDF with lines as lines and the fonts
inside (resvg-py gives pixels only; CairoSVG needs cairo and joins no letters; matplotlib reads no SVG).
"""

import html
import io
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from textwrap import wrap
from typing import Any

from PIL import Image

from allyouneed.errors import UserError
from allyouneed.tracing.labels import FONTS
from allyouneed.tracing.maps import masked_pattern
from allyouneed.tracing.svg import element, text, title

INK = "#1d2330"
MM = 96 / 25.4
"""Pixels of a millimetre."""

WIDEST = 180.0
"""Millimetres of a page's text; a larger figure is made smaller to fit, unless another width is asked for."""

GAP = 14.0

PAGE = """#set document(title: sys.inputs.title, date: none)
#set page(width: auto, height: auto, margin: 0pt)
#image(bytes(sys.inputs.svg), format: "svg")
"""
"""What typst sets. The drawing is given as data, so that nothing in it can be taken for a command."""


def paper(heading: str, below: str, parts: Sequence[str], width: float | None = None, note: str = "") -> str:
    """Figures below each other under a heading and lines that say more; `width` in mm, of all."""
    sizes = [size(part) for part in parts]
    broad = max([*(w for w, _ in sizes), 10.2 * len(heading), 300.0])
    more, last = _wrapped(below, broad), _wrapped(note, broad)
    y = 24.0 + 15 * len(more)
    drawn = [text(heading, x=0, y=14, font_size=15, font_weight=600, fill=INK), *_said(more, 31)]
    for part, (_, high) in zip(parts, sizes, strict=True):
        drawn.append(placed(part, 0, y))
        y += high + GAP
    drawn += _said(last, y + 2)
    y += 15 * len(last) - GAP
    across = min((broad + 16) / MM, WIDEST) if width is None else width
    sheet = element("rect", x=-8, y=-8, width=broad + 16, height=y + 16, fill="#ffffff")
    return element(
        "svg", title(heading), masked_pattern(), sheet, *drawn,
        xmlns="http://www.w3.org/2000/svg", viewBox=f"-8 -8 {broad + 16:.1f} {y + 16:.1f}", width=f"{across:.2f}mm",
        height=f"{across * (y + 16) / (broad + 16):.2f}mm", role="img", aria_label=heading, font_family=FONTS,
        color=INK, style=f"background:#fff;color:{INK}",
    )  # fmt: skip


def _wrapped(words: str, broad: float) -> list[str]:
    """Lines of a sentence that fit, by the width of a usual letter."""
    return wrap(words, max(int(broad / 6.6), 20))


def _said(lines: Sequence[str], y: float) -> list[str]:
    return [text(line, x=0, y=y + 15 * i, font_size=11, fill=INK) for i, line in enumerate(lines)]


def size(svg: str) -> tuple[float, float]:
    """Width and height in pixels of what `svg.figure` made."""
    head = svg[: svg.index(">")]
    return tuple(float(head.split(f' {name}="')[1].split('"')[0]) for name in ("width", "height"))  # type: ignore[return-value]


def placed(svg: str, x: float, y: float) -> str:
    """A figure at a place of another; fonts are the other's."""
    return svg.replace("<svg ", f'<svg x="{x:g}" y="{y:g}" ', 1).replace(' font-family="inherit"', "", 1)


def write(svg: str, path: str | Path, scale: float = 3.0) -> Path:
    """Writes the picture whole or not at all, in the format that the name's end asks for.

    `scale` is of a PNG: dots for each pixel, of which an inch has 96.
    """
    path = Path(path)
    making = FORMATS.get(path.suffix.lower())
    if making is None:
        raise UserError(
            f"{path} does not end in {', '.join(FORMATS)}; its end says which kind of file a picture becomes"
        )
    content = making(svg, scale)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError as error:
        raise UserError(f"cannot write the picture {path}: {error.strerror or error}") from None
    finally:
        beside.unlink(missing_ok=True)
    return path


def _svg(svg: str, scale: float) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}\n'.encode()


def _png(svg: str, scale: float) -> bytes:
    if not 0.1 <= scale <= 20:
        raise UserError(f"scale {scale:g} is not between 0.1 and 20 dots for each pixel")
    drawn, out = Image.open(io.BytesIO(_set(svg, "png", 96 * scale))), io.BytesIO()
    drawn.convert("RGB").save(out, "png", dpi=(96 * scale, 96 * scale), optimize=True)
    return out.getvalue()


def _pdf(svg: str, scale: float) -> bytes:
    return _set(svg, "pdf")


def _set(svg: str, kind: str, dots: float | None = None) -> bytes:
    try:
        typst: Any = import_module("typst")
    except ImportError:
        raise UserError(
            f"a picture as {kind.upper()} is set by typst, which is not installed: `pip install 'allyouneed[pictures]'`, "
            "or write it as .svg, which needs nothing"
        ) from None
    heading = html.unescape(svg.partition("<title>")[2].partition("</title>")[0])
    content: bytes = typst.compile(PAGE.encode(), format=kind, ppi=dots, sys_inputs={"svg": svg, "title": heading})
    return content


FORMATS: dict[str, Callable[[str, float], bytes]] = {".svg": _svg, ".png": _png, ".pdf": _pdf}
