"""Drawing by hand: SVG as strings with real text, so that a browser's own fonts show every script.

Whatever comes from a user goes through `escape`; nothing here puts a string into a page by another way.
"""

import base64
import html
import re
import struct
import zlib
from typing import Any

import numpy as np

CIVIDIS = [
    "#00224e", "#002e6a", "#1a386f", "#32436d", "#434e6c", "#535a6d", "#61656f", "#6f7073", "#7d7c78",
    "#8c8878", "#9b9476", "#aba072", "#bcae6c", "#cdbb63", "#dec958", "#f0d846", "#fee838",
]  # fmt: skip
"""Perceptually uniform, and the same to the colour-blind (Nuñez et al. 2018); 17 colours, mixed between."""

SIGNED = ["#0072b2", "#f4f2ee", "#d55e00"]
"""Blue, pale, orange: minus, zero, plus."""

_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]")
"""What XML forbids, UTF-8 cannot write, or would turn the line around it."""


def escape(value: object) -> str:
    """Text for an element or an attribute; letters that no page may hold become the replacement mark."""
    return html.escape(_INVISIBLE.sub("\ufffd", str(value)), quote=True)


def element(name: str, /, *content: str, **attributes: object) -> str:
    """`element("rect", x=1, stroke_width=2)`; content is markup already, attributes are escaped, None is left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{given}>{''.join(content)}</{name}>" if content else f"<{name}{given}/>"


def text(value: object, **attributes: object) -> str:
    return element("text", escape(value), **attributes)


def title(value: object) -> str:
    """What a browser shows on hover."""
    return element("title", escape(value))


def number(value: object) -> object:
    """Coordinates to a tenth of a pixel; anything else as it is."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


def figure(width: float, height: float, label: str, *content: str, class_: str = "figure") -> str:
    """The svg element, with its description for those who cannot see it."""
    return element(
        "svg", *content, class_=class_, viewBox=f"0 0 {number(float(width))} {number(float(height))}",
        width=float(width), height=float(height), role="img", aria_label=label, font_family="inherit",
    )  # fmt: skip


def standalone(svg: str) -> str:
    """An inline figure as a file of its own, on white paper."""
    head = '<svg xmlns="http://www.w3.org/2000/svg" style="background:#fff;color:#1d2330" '
    head += 'font-family="system-ui,sans-serif" '
    inline = svg.replace(' font-family="inherit"', "", 1).removeprefix("<svg ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}{inline}\n'


def colour(share: float, ramp: list[str] = CIVIDIS) -> str:
    """The colour of a share from 0 to 1."""
    place = min(max(share, 0.0), 1.0) * (len(ramp) - 1)
    low = min(int(place), len(ramp) - 2)
    mixed = (a + (b - a) * (place - low) for a, b in zip(_rgb(ramp[low]), _rgb(ramp[low + 1]), strict=True))
    return "#" + "".join(f"{round(value):02x}" for value in mixed)


def _rgb(code: str) -> tuple[int, int, int]:
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def raster(shares: np.ndarray, ramp: list[str]) -> str:  # y x -> data address
    """A PNG of values from 0 to 1, one pixel each: for heat maps too large to be drawn cell by cell."""
    table = np.array([_rgb(colour(i / 255, ramp)) for i in range(256)], dtype=np.uint8)
    pixels = table[np.clip(shares * 255 + 0.5, 0, 255).astype(np.uint8)]  # y x 3
    height, width = shares.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    )
    return "data:image/png;base64," + base64.b64encode(png).decode()


def scale_bar(ramp: list[str], low: str, high: str, *extra: tuple[str, str], class_: str = "scale") -> str:
    """A colour bar with its ends named; `extra` are (fill, meaning) swatches beside it, such as what masked looks like."""
    bands = [element("rect", x=40 + 3 * i, y=4, width=3.5, height=12, fill=colour(i / 39, ramp)) for i in range(40)]
    ends: list[Any] = [text(low, x=34, y=14, text_anchor="end"), text(high, x=166, y=14)]
    at = 186.0 + 6.5 * len(high)
    for fill, meaning in extra:
        ends.append(element("rect", x=at, y=4, width=12, height=12, fill=fill, stroke="currentColor", stroke_width=0.4))
        ends.append(text(meaning, x=at + 18, y=14))
        at += 34 + 6.2 * len(meaning)
    drawn = element("g", *bands, *ends, font_size=11, fill="currentColor")
    return figure(at, 20, f"colour scale from {low} to {high}", drawn, class_=class_)
