"""Attention between neighbouring chunks: the kernel behind windowed, chunked and LSH attention.

The text is cut into t chunks of c, and the queries of a chunk look at the keys of p chunks in a row: n c p scores
instead of n^2. Those of a few chunks at a time are made, used and forgotten while they lie in the cache, and made again
in the backward pass; nothing of their size is kept, so memory is that of queries, keys and values alone.
`plain_chunk_attention` is the twin for tests, for compilers and for dropout.

In shapes: t chunks, c their length, p chunks in a row that one chunk sees, w = p c keys; s some of the chunks.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

NEVER = -1e9  # added to the score of what may not be seen; no infinity, so that a row that sees nothing gives no NaN
SCORES = 2**19  # made at once on the CPU: 2 MiB in float32 was the best of 2^15 ... 2^19
NOWHERE = 2.0**30  # the place of what is no key: padding, and what lies beyond the ends

Rule = Callable[[Tensor, Tensor], Tensor]
"""Places of queries `... c 1` and of keys `... 1 w` -> what is added to their scores, `... c w`."""


class Places(NamedTuple):
    """Where queries and keys stand in the text, in float32, which counts to 2^24; a rule knows them by nothing else."""

    queries: Tensor  # 1|b 1|h t c
    keys: Tensor  # 1|b 1|h t+p-1 c


def chunks_of(n: int, c: int) -> int:
    """How many chunks hold a text. A compiler would hold a number that may be one for always one: it gets one to spare."""
    return (n + c - 1) // c + int(torch.compiler.is_compiling())


def in_a_row(x: Tensor, p: int) -> Tensor:  # b h t+p-1 c k -> b h t w k
    """For each chunk, the p chunks that it sees."""
    return x.unfold(2, p, 1).permute(0, 1, 2, 5, 3, 4).flatten(3, 4)


def _bias(places: Places, rule: Rule, p: int) -> Tensor:  # 1|b 1|h t c w
    return rule(places.queries[..., None], in_a_row(places.keys[..., None], p).transpose(-1, -2))


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def plain_chunk_attention(
    q: Tensor, k: Tensor, v: Tensor, places: Places, rule: Rule, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    p = k.shape[2] - q.shape[2] + 1
    scores = (q @ in_a_row(k, p).transpose(-1, -2)).to(_wide(q)) + _bias(places, rule, p)  # b h t c w
    weights = F.dropout(scores.softmax(-1), dropout)
    return weights.to(v.dtype) @ in_a_row(v, p), scores.logsumexp(-1)


class _Slab(NamedTuple):
    """Some rows and some chunks, few enough for the cache."""

    rows: slice
    first: int
    last: int
    p: int

    def own(self, x: Tensor) -> Tensor:  # b h t c ... -> b h s c ...
        return x[self.rows if x.shape[0] > 1 else slice(None), :, self.first : self.last]

    def seen(self, x: Tensor) -> Tensor:  # b h t+p-1 c ... -> b h s+p-1 c ...
        return self._replace(last=self.last + self.p - 1).own(x)

    def windows(self, x: Tensor) -> Tensor:  # b h t+p-1 c k -> bhs w k
        return in_a_row(self.seen(x), self.p).flatten(0, 2)

    def weights(self, q: Tensor, keys: Tensor, places: Places, rule: Rule) -> tuple[Tensor, Tensor]:
        """Of `b h s c k` queries and `bhs w k` keys: softmax `b h s c w`, its denominator's logarithm `b h s c`."""
        scores = torch.bmm(q.flatten(0, 2), keys.transpose(1, 2)).to(_wide(q)).view(*q.shape[:4], -1)
        scores += _bias(Places(self.own(places.queries), self.seen(places.keys)), rule, self.p)
        weights = scores.softmax(-1)
        return weights, scores.amax(-1) - weights.amax(-1).log()


def _slabs(q: Tensor, p: int) -> Iterator[_Slab]:
    b, h, t, c, _ = q.shape
    budget = SCORES if q.device.type == "cpu" else 2**7 * SCORES
    rows, chunks = max(1, budget // (h * t * c * c * p)), max(1, budget // (h * c * c * p))
    for row in range(0, b, rows):
        for first in range(0, t, chunks):
            yield _Slab(slice(row, row + rows), first, min(first + chunks, t), p)


class _ChunkAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v, queries, keys, rule):  # type: ignore[no-untyped-def, override]
        ctx.save_for_backward(q, k, v, queries, keys)
        ctx.set_materialize_grads(False)
        ctx.rule = rule
        out, denominators = q.new_empty(*q.shape[:-1], v.shape[-1]), q.new_empty(q.shape[:-1], dtype=_wide(q))
        for slab in _slabs(q, k.shape[2] - q.shape[2] + 1):
            weights, denominator = slab.weights(slab.own(q), slab.windows(k), Places(queries, keys), rule)
            seen = torch.bmm(weights.to(q.dtype).flatten(0, 2), slab.windows(v))
            slab.own(out).copy_(seen.view_as(slab.own(out)))
            slab.own(denominators).copy_(denominator)
        return out, denominators

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, grad_denominators):  # type: ignore[no-untyped-def, override]
        q, k, v, queries, keys = ctx.saved_tensors
        grad = q.new_zeros(*q.shape[:-1], v.shape[-1]) if grad is None else grad
        grads = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for slab in _slabs(q, k.shape[2] - q.shape[2] + 1):
            here, near = slab.own(q), slab.windows(k)
            weights, _ = slab.weights(here, near, Places(queries, keys), ctx.rule)
            outer = slab.own(grad).flatten(0, 2)  # bhs c k
            grad_weights = torch.bmm(outer, slab.windows(v).transpose(1, 2)).view_as(weights).to(weights.dtype)
            grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
            if grad_denominators is not None:  # d log z / d score is the weight
                grad_scores.addcmul_(weights, slab.own(grad_denominators)[..., None])
            narrow, weights = (x.to(q.dtype).flatten(0, 2) for x in (grad_scores, weights))
            slab.own(grads[0]).copy_(torch.bmm(narrow, near).view_as(here))
            _give_back(slab, grads[1], torch.bmm(narrow.transpose(1, 2), here.flatten(0, 2)))
            _give_back(slab, grads[2], torch.bmm(weights.transpose(1, 2), outer))
        return *grads, None, None, None


def _give_back(slab: _Slab, whole: Tensor, windows: Tensor) -> None:
    """Adds what the windows `bhs w k` hold to the chunks `b h t+p-1 c k` that they were made of."""
    for i in range(slab.p):
        chunks = slab._replace(first=slab.first + i, last=slab.last + i).own(whole)  # b h s c k
        chunks += windows.view(*chunks.shape[:3], slab.p, *chunks.shape[3:])[:, :, :, i]


def chunk_attention(
    q: Tensor, k: Tensor, v: Tensor, places: Places, rule: Rule, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """softmax(q k^T + rule) v of each chunk of queries `b h t c k` with p chunks of keys and values `b h t+p-1 c k`.

    Gives the sums `b h t c k`, and the logarithm of the softmax's denominator `b h t c`, by which several such looks
    can be merged as one. Queries come scaled.
    """
    if dropout or torch.compiler.is_compiling():
        return plain_chunk_attention(q, k, v, places, rule, dropout)
    with torch.autocast(q.device.type, enabled=False):
        return _ChunkAttention.apply(q, k, v, *places, rule)
