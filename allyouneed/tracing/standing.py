"""Where a look stands in its model: which relation it belongs to, and of which spaces it is a relation."""

import re
from typing import NamedTuple

from torch import nn

from allyouneed.tracing.looks import Look

TITLES = {
    "encoder": "Encoder self-attention",
    "decoder": "Decoder self-attention, masked",
    "cross": "Cross-attention",
    "self": "Self-attention",
    "mixing": "Mixing of places",
}
SPACES = {
    "encoder": ("source", "source"),
    "decoder": ("read", "read"),
    "cross": ("target", "source"),
}
"""Rows and columns of the relations of an encoder-decoder; those of other models are of the one space that they have."""


class Sides(NamedTuple):
    """Whether a model has both an encoder and a decoder, side by side."""

    two: bool

    @classmethod
    def of(cls, model: nn.Module | None) -> "Sides":
        """Told by the names of its modules, which are those of the field."""
        names = {name for name, _ in model.named_modules()} if model is not None else set()
        beside = {f"{name[: -len('encoder')]}decoder" for name in names if re.search(r"(^|\.)encoder$", name)}
        return cls(bool(beside & names))

    def side(self, name: str) -> str:
        """encoder or decoder in a model of two sides, else self."""
        parts = [part for part in name.split(".") if part in ("encoder", "decoder")]
        return parts[0] if self.two and parts else "self"

    def relation(self, name: str, look: Look, causal: bool) -> str:
        """A decoder looks at its own past, or at the memory: told by what the recorder has seen go in, else by the letter
        in the order string, else by the mask, for who looks at a memory sees all of it."""
        side = self.side(name)
        if side != "decoder":
            alike = causal or look.q.shape[2] == look.k.shape[2]
            return side if alike else "cross"
        if look.crossing is not None:
            return "cross" if look.crossing else "decoder"
        if letters := re.findall(r"(?:^|\.)\d+([a-z])(?=\.|$)", name):
            return "decoder" if letters[-1] == "s" else "cross"
        return "decoder" if causal or getattr(look.module, "causal", False) else "cross"


def square(size: int) -> tuple[int, int, int] | None:
    """Rows, columns and prefix of a square image of so many tokens; None if they make none."""
    for prefix in (0, 1, 2):
        side = round(max(size - prefix, 0) ** 0.5)
        if side and side * side == size - prefix:
            return side, side, prefix
    return None
