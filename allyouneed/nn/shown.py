"""What a part shows of a call besides its output, for who looks from outside (`tracing/record.py`).

A part that looks by softmax has a method `weights(q, k, mask)`. One that mixes otherwise, or has more to tell, has a
method `show`, which takes what `forward` was given and gives some of the tuples below. It computes them anew, so a
forward pass keeps nothing and pays nothing while nobody looks. `again` is the part's output made from what is shown: who
compares it with the real one knows whether what is shown is what happened.
"""

from typing import NamedTuple

from torch import Tensor


class Mixing(NamedTuple):
    """Outputs are weighted sums of values, by weights of any sign: y = W v in each head."""

    weights: Tensor  # b h n m, or 1 h n m where no input has a say
    again: Tensor | None  # as the output; None where W is not all that happens
    note: str  # one sentence for people
    grid: tuple[int, int] | None = None  # rows and columns, where n and m are places of a map
    input_independent: bool = False


class Hashed(NamedTuple):
    """Into which bucket each round put each position, and the order that came of it; filled up to whole chunks."""

    buckets: Tensor  # b h R n
    order: Tensor  # b h R n: positions by bucket, padding last
    chunk: int


class Wired(NamedTuple):
    """Where each layer sends each place: i goes to targets[i]."""

    targets: list[Tensor]  # n each


class Halted(NamedTuple):
    """Adaptive computation time: how sure of stopping each position was, step by step."""

    probabilities: Tensor  # b steps n, zero where a position has halted before
    steps: Tensor  # b n: taken
    remainder: Tensor  # b n
    again: Tensor  # b n d


Shown = Mixing | Hashed | Wired | Halted
