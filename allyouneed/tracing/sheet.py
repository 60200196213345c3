"""What a picture is made of, before it is on paper."""

from collections.abc import Sequence
from typing import NamedTuple

from allyouneed.tracing.maps import MASKED, ramp_of
from allyouneed.tracing.svg import scale_bar


class Sheet(NamedTuple):
    heading: str
    below: str  # a line that says more
    parts: Sequence[str]  # figures, from top to bottom
    note: str = ""


def legend(top: float, signed: bool = False, masked: bool = False) -> str:
    """The scale of colours, from the numbers drawn."""
    low = f"-{top:g}" if signed else "0"
    return scale_bar(ramp_of(signed), low, f"{top:g}", *([(MASKED, "masked")] if masked else []))


def capital(words: str) -> str:
    return words[:1].upper() + words[1:]
