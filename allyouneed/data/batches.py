"""Batches by token budget with length bucketing: a pure function of (seed, epoch), so that resuming is exact."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np


class TokenStore(NamedTuple):
    """Many token sequences in two flat arrays, which may as well be memory-mapped."""

    ids: np.ndarray  # int32, all sequences one after another
    offsets: np.ndarray  # int64, where each begins; one more at the end

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]]) -> "TokenStore":
        lengths = np.fromiter((len(s) for s in sequences), dtype=np.int64, count=len(sequences))
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        flat = (index for sequence in sequences for index in sequence)
        return cls(np.fromiter(flat, dtype=np.int32, count=int(offsets[-1])), offsets)

    @classmethod
    def joined(cls, parts: Iterable["TokenStore"]) -> "TokenStore":
        """The sequences of several stores, one after another."""
        stores = list(parts)
        ends = np.cumsum([0, *(len(store.ids) for store in stores)])
        offsets = [store.offsets[1:] + start for store, start in zip(stores, ends, strict=False)]
        ids = [np.zeros(0, dtype=np.int32), *(store.ids for store in stores)]
        return cls(np.concatenate(ids), np.concatenate([[0], *offsets]))

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def lengths_of(self, rows: np.ndarray) -> np.ndarray:
        """The lengths of some sequences; of a store on disk no more than these is read."""
        return self.offsets[rows + 1] - self.offsets[rows]

    def __len__(self) -> int:  # type: ignore[override]
        return len(self.offsets) - 1

    def padded(
        self, rows: np.ndarray, before: Sequence[int] = (), after: Sequence[int] = (), pad: int = 0
    ) -> np.ndarray:
        """The sequences of `rows` as an int64 matrix, right-padded, with tokens put before and after each."""
        lengths = self.lengths_of(rows)
        width = int(lengths.max(initial=0)) + len(before) + len(after)
        out = np.full((len(rows), width), pad, dtype=np.int64)
        out[:, : len(before)] = before
        for i, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            end = len(before) + length
            out[i, len(before) : end] = self.ids[self.offsets[row] : self.offsets[row] + length]
            out[i, end : end + len(after)] = after
        return out


def padded_tokens(batch: np.ndarray, lengths: np.ndarray) -> int:
    """Cells that the batch takes on all sides together; `lengths` is sides x sentences, ends included."""
    return int(lengths[:, batch].max(axis=1).sum()) * len(batch)


def plan(lengths: np.ndarray, budget: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Index arrays of one epoch's batches, each of at most `budget` padded tokens over both sides.

    `lengths` is sides x sentences, what is added at the ends included. Sentences are shuffled, sorted by length
    (equal lengths stay shuffled), cut, and the batches shuffled. A sentence alone over the budget is a batch.
    """
    draw = np.random.default_rng([seed, epoch])
    order = draw.permutation(lengths.shape[1])
    ranked = lengths[:, order]
    order = order[np.lexsort((*ranked[1:], ranked.max(axis=0)))]
    batches, start, widest = [], 0, np.zeros(len(lengths), dtype=np.int64)
    for at, sentence in enumerate(order):
        wider = np.maximum(widest, lengths[:, sentence])
        if at > start and int(wider.sum()) * (at + 1 - start) > budget:
            batches.append(order[start:at])
            start, wider = at, lengths[:, sentence]
        widest = wider
    if start < len(order):
        batches.append(order[start:])
    return [batches[i] for i in draw.permutation(len(batches))]


def padding_waste(batches: Sequence[np.ndarray], lengths: np.ndarray) -> float:
    """The share of cells that hold padding."""
    cells = sum(padded_tokens(batch, lengths) for batch in batches)
    real = sum(int(lengths[:, batch].sum()) for batch in batches)
    return 1 - real / max(cells, 1)
