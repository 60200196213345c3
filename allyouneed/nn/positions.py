"""Positions: how order enters. Sinusoidal codes in the three layouts in circulation, and learned ones.

The dot product of two sinusoidal codes depends only on their distance: PE_t · PE_{t+k} = sum_i cos(c_i k).
All three layouts have that property; they differ in the order of columns and, for tensor2tensor, in the frequencies,
so weights trained with one layout are wrong with another.

What is added is shown by `codes(length)`; `longest` says for how many positions there are codes at all.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

LAYOUTS = ("interleaved", "halves", "tensor2tensor")


def sinusoids(length: int, dim: int, layout: str = "interleaved") -> Tensor:  # n d
    """The table of sinusoidal position codes (Vaswani et al. 2017, section 3.5).

    interleaved    the paper: sin in even columns, cos in odd ones, frequency i is 10000^(-2i/d)
    halves         Hugging Face Marian: the same frequencies, all sines first, then all cosines
    tensor2tensor  tensor2tensor and fairseq: halves, and frequency i is 10000^(-i/(d/2-1)); an odd last column is zero
    """
    if layout not in LAYOUTS:
        raise ValueError(f"The position layout {layout!r} is not known; known are {', '.join(LAYOUTS)}.")
    half = (dim + 1) // 2 if layout != "tensor2tensor" else dim // 2
    steps = max(half - 1, 1) if layout == "tensor2tensor" else dim / 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10000.0) / steps))
    angles = torch.arange(length, dtype=torch.float64)[:, None] * frequencies  # n d/2
    if layout == "interleaved":
        table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :dim]
    else:
        table = torch.cat([angles.sin(), angles.cos()], dim=1)[:, :dim]
    table = nn.functional.pad(table, (0, dim - table.shape[1]))
    return table.float()


class SinusoidalPositions(nn.Module):
    """Adds fixed codes to the tokens. The table grows by itself when a longer text comes."""

    table: Tensor
    longest: int | None = None  # any length

    def __init__(self, dim: int, layout: str = "interleaved", length: int = 512):
        super().__init__()
        self.layout = layout
        self.register_buffer("table", sinusoids(length, dim, layout), persistent=False)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Casting a model to bfloat16 keeps the table in float32: eight bits cannot tell position 256 from 257.

        A model laid out on the meta device gets its table, which no file holds, when it moves to a real one.
        """
        was_meta = self.table.is_meta
        result = super()._apply(fn, recurse)
        if (was_meta or self.table.dtype != torch.float32) and not self.table.is_meta:
            table = sinusoids(self.table.shape[0], self.table.shape[1], self.layout)
            self.table = table.to(self.table.device)
        return result

    def codes(self, length: int) -> Tensor:  # n d
        if length > self.table.shape[0]:
            table = sinusoids(max(length, 2 * self.table.shape[0]), self.table.shape[1], self.layout)
            self.table = table.to(self.table.device)
        return self.table[:length]

    def forward(self, x: Tensor) -> Tensor:  # b n d -> b n d
        return x + self.codes(x.shape[1]).to(x.dtype)

    def at(self, x: Tensor, position: int) -> Tensor:  # r 1 d -> r 1 d
        """Adds the code of one position, counted from 0: what decoding needs at each step."""
        return x + self.codes(position + 1)[position].to(x.dtype)


class LearnedPositions(nn.Module):
    """Adds a learned vector per position, up to a fixed length (BERT; row (E) of the paper's table 3)."""

    def __init__(self, dim: int, length: int):
        super().__init__()
        self.table = nn.Parameter(torch.randn(length, dim) * dim**-0.5)

    @property
    def longest(self) -> int:
        return self.table.shape[0]

    def codes(self, length: int) -> Tensor:  # n d
        if length > self.table.shape[0]:
            raise ValueError(
                f"A text of {length} tokens is longer than the {self.table.shape[0]} learned positions of this model; "
                "shorten it, or train with a larger model.positions_length."
            )
        return self.table[:length]

    def forward(self, x: Tensor) -> Tensor:  # b n d -> b n d
        return x + self.codes(x.shape[1]).to(x.dtype)

    def at(self, x: Tensor, position: int) -> Tensor:  # r 1 d -> r 1 d
        return x + self.codes(position + 1)[position].to(x.dtype)


class NoPositions(nn.Module):
    """Adds nothing: for layers that know the order themselves (recurrence, convolution), and to see what is lost."""

    def forward(self, x: Tensor) -> Tensor:  # b n d -> b n d
        return x

    def at(self, x: Tensor, position: int) -> Tensor:  # r 1 d -> r 1 d
        return x
