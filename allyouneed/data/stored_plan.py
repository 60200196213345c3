"""Batches of a corpus of any size: the plan of an epoch that is never written down.

Pairs are ordered once by their lengths, so that the pairs of one class, those with the same two lengths, stand side by
side. That order is cut into batches once. An epoch draws the order of the batches, and for each place of a batch the
pair of its class that stands there, by a permutation that is computed place by place. So a batch is a pure function of
(seed, epoch, number), and what memory holds grows with the number of batches and not with that of pairs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

ROUNDS = 4


class StoredPlan(Sequence[np.ndarray]):
    """The batches of one epoch as index arrays, made when they are asked for."""

    def __init__(self, order: np.ndarray, classes: np.ndarray, cuts: np.ndarray, seed: int, epoch: int):
        self.order, self.cuts = order, cuts
        self.counts = classes[:, 2].astype(np.uint64)
        self.starts = np.cumsum(self.counts) - self.counts
        state = np.random.SeedSequence([seed, epoch]).generate_state(ROUNDS + 1, np.uint64)
        self.keys = state[:ROUNDS]
        self.turns = np.random.default_rng([seed, epoch]).permutation(len(cuts) - 1)

    def __len__(self) -> int:
        return len(self.turns)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self._batch(turn) for turn in self.turns[at]]
        return self._batch(self.turns[at])

    def _batch(self, number: int) -> np.ndarray:
        places = np.arange(self.cuts[number], self.cuts[number + 1], dtype=np.uint64)
        kind = np.searchsorted(self.starts, places, side="right") - 1
        start = self.starts[kind]
        # Every class is shuffled by a key of its own, or equal places of two classes would stay neighbours.
        drawn = start + permuted(places - start, self.counts[kind], self.keys[:, None] + mixed(start)[None])
        return self.order[drawn.astype(np.int64)].astype(np.int64)


def batch_cuts(classes: np.ndarray, extra: int, budget: int) -> np.ndarray:
    """Where batches of at most `budget` padded tokens over both sides begin in the order of lengths, and the end.

    `classes` are rows of (source length, target length, how many), `extra` the tokens added to each sequence. The rule
    is that of `batches.plan`: a batch is closed when the next pair would make it too large, and a pair alone over the
    budget is a batch.
    """
    cuts, place, start, widest = [np.zeros(1, dtype=np.int64)], 0, 0, np.zeros(2, dtype=np.int64)
    for *lengths, count in classes.tolist():
        sides = np.array(lengths) + extra
        wider, end = np.maximum(widest, sides), place + count
        into = start + max(budget // int(wider.sum()), 1 if place == start else 0)  # the open batch may reach to here
        if into >= end:
            widest = wider
        else:
            size = max(budget // int(sides.sum()), 1)
            begins = np.arange(max(into, place), end, size, dtype=np.int64)
            cuts.append(begins)
            start, widest = int(begins[-1]), sides
        place = end
    return np.concatenate([*cuts, [place]])


def padding_share(classes: np.ndarray, cuts: np.ndarray, extra: int) -> float:
    """The share of cells that hold padding when the order of lengths is cut so."""
    ends = np.cumsum(classes[:, 2])
    real = int(((classes[:, 0] + classes[:, 1] + 2 * extra) * classes[:, 2]).sum())
    first = np.searchsorted(ends, cuts[:-1], side="right")
    cells = 0
    for side in classes[:, 0], classes[:, 1]:
        last = np.searchsorted(ends, cuts[1:] - 1, side="right")
        widest = [int(side[a : b + 1].max()) + extra for a, b in zip(first, last, strict=True)]
        cells += int((np.array(widest) * np.diff(cuts)).sum())
    return 1 - real / max(cells, 1)


def permuted(places: np.ndarray, counts: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """For each place, below its count, another one: for one count and key a permutation of the places.

    A Feistel network over the next power of four, walked again while it leads outside (Black and Rogaway 2002, Ciphers
    with arbitrary finite domains, https://doi.org/10.1007/3-540-45760-7_9, method 2). All are uint64; `keys` is one row
    for each round.
    """
    half = np.ceil(np.log2(np.maximum(counts, 2).astype(np.float64)) / 2).astype(np.uint64)
    found = _network(places, half, keys)
    while (outside := found >= counts).any():
        found = np.where(outside, _network(found, half, keys), found)
    return found


def _network(places: np.ndarray, half: np.ndarray, keys: np.ndarray) -> np.ndarray:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = places >> half, places & mask
    for key in keys:
        left, right = right, left ^ (mixed(right + key) & mask)
    return (left << half) | right


def mixed(x: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64: every bit of the input changes half of the output's. Products wrap around."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
