"""Tokens as labels of a drawing: how they are shown, how wide they are, and which way they run."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from allyouneed.tracing.svg import element, escape, text

LONGEST = 12
"""Letters of a label; a longer one is cut."""

FONTS = (
    "'Noto Sans','DejaVu Sans','Liberation Sans',Arial,'Noto Sans CJK SC','Microsoft YaHei','PingFang SC',sans-serif"
)
"""For files: what a machine has of these, by script, so that Chinese stands upright beside Latin of the same weight."""

MARK = "\u200f"
"""Right-to-left mark: what stands between two of them runs from right to left, its word mark and full stop too."""


SIGNS = {"\n": "⏎", "\r": "⏎", "\t": "⇥", "\u2028": "⏎", "\u2029": "⏎"}


def shown(token: str) -> str:
    """A token as one sees it: blanks and line ends get a sign."""
    return "".join(SIGNS.get(c) or ("·" if unicodedata.category(c)[0] == "Z" else c) for c in token) or "∅"


def cut(token: str, longest: int = LONGEST) -> str:
    token = shown(token)
    return token if len(token) <= longest else token[: longest - 1] + "…"


def leftward(token: str) -> bool:
    """Whether it is written from right to left: as its first letter is."""
    ways = (unicodedata.bidirectional(letter) for letter in token)
    return next((way in ("R", "AL") for way in ways if way in ("L", "R", "AL")), False)


def width(tokens: Sequence[str], size: float = 11.0, longest: int = LONGEST) -> float:
    """About how many pixels the widest label takes; Chinese letters are as wide as they are high."""
    return max((_width(cut(token, longest)) for token in tokens), default=0.0) * size / 11


def _width(written: str) -> float:
    return sum(map(_letter, written))


def _letter(letter: str) -> float:
    """Its width at 11 pixels. Marks that stand on other letters take no room."""
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF" or letter in "mwMW@%…":
        return 11.0
    return 4.0 if letter in "ijltfrI.,;:'|!()[]" else 8.0 if letter.isupper() else 6.9


def label(token: str, longest: int = LONGEST, **place: Any) -> str:
    """A token; the mark of a word's beginning is pale, so that it does not drown the letters."""
    written = cut(token, longest)
    mark = MARK if leftward(written) else ""
    if not written.startswith("▁") or len(written) == 1:
        return text(mark + written + mark, **place)
    return element("text", escape(mark), element("tspan", "▁", fill_opacity="0.3"), escape(written[1:] + mark), **place)
