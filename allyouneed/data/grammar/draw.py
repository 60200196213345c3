"""The dice of the grammar: every choice is made here, from one generator.

Only ``Random.random`` is used, because it is the one method whose sequence Python promises never to change.
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Pair(NamedTuple):
    """One sentence in two languages, with the bonds (kind, one word, other word) that it contains."""

    foreign: str
    english: str
    bonds: tuple[tuple[str, str, str], ...]


class Draw:
    """Seeded choices, and a record of which words were put together in the sentence being made."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed).random
        self.bonds: list[tuple[str, str, str]] = []

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self.random() * len(items))]

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.random() * (high - low + 1))

    def bond(self, kind: str, one: str, other: str) -> None:
        """Note that two words meet; some meetings are kept out of the training set (see split.py)."""
        self.bonds.append((kind, one, other))
