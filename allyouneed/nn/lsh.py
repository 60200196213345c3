"""Attention by locality-sensitive hashing (Reformer, Kitaev et al. 2020, section 2): look where the large scores are.

Queries and keys are the same vectors, the keys cut to length 1. Vectors of like direction fall into one bucket of a
random hash; sorted by bucket, the text is cut into chunks, and a chunk looks at itself and at the one before. Several
rounds of hashing, merged as one softmax, make it unlikely that two of a kind are never seen together.

As in trax and Hugging Face, and unlike the paper's equations, keys of other buckets in the two chunks are seen too, and
what two rounds have both seen counts twice.

The trap of a causal model: nobody ever sees a later position, but later ones take places in the sorted order and so move
the borders of chunks. Beyond one chunk, whom an earlier position sees depends on how far the text has got, and a text
read in steps gives other numbers than one read at once.

In shapes: R rounds, c the length of a chunk, of which n is a multiple once the text is filled up.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from allyouneed.nn.chunks import NOWHERE, Places, chunk_attention, chunks_of
from allyouneed.nn.reversible import once
from allyouneed.nn.shared_attention import SharedAttend
from allyouneed.nn.shown import Hashed

LAST = 2**30  # the bucket of padding, after all others
UNITS = 512  # columns of a map that are made at once
ROWS = 2**20
"""Numbers of a rotated piece of text that are hashed at once: n times the buckets would be as much as n^2 scores."""


class LSHAttend(SharedAttend):
    """Shared-QK attention within neighbourhoods that a random hash finds.

    `buckets` of a round are a product of even factors, each with rotations of its own: `(32, 32)` makes 1,024 buckets at
    the cost of 64. While the model learns, each pass draws new rotations; otherwise they are those kept with the
    weights, so that what a model says can be said again. A text of one chunk is looked at exactly.

    With `wrap`, a round's first chunk looks back to the last chunk of the round before (trax, Hugging Face), so that
    padding can change what is seen; without, it has none before it.
    """

    rotations: Tensor

    def __init__(
        self, heads: int, head_dim: int, chunk: int = 64, buckets: tuple[int, ...] = (64,), rounds: int = 4,
        causal: bool = False, wrap: bool = False, dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__(causal, dropout)
        self.chunk, self.buckets, self.wrap = chunk, buckets, wrap
        self.register_buffer("rotations", torch.empty(heads, head_dim, rounds, sum(buckets) // 2))
        self.set_rounds(rounds)

    def set_rounds(self, rounds: int) -> None:
        """More rounds find more of what exact attention would look at; a trained model may be given other than it had."""
        heads, head_dim, _, columns = self.rotations.shape
        self.rotations = torch.randn(heads, head_dim, rounds, columns).to(self.rotations)

    def hash(self, q: Tensor, rotations: Tensor) -> Tensor:  # b h n k -> b h R n
        """Buckets: in each group of columns the axis, or its opposite, that a rotated vector lies nearest to."""
        rounds, columns = rotations.shape[2:]
        rotations = rotations.to(q.dtype).flatten(2)  # h k Rs
        if torch.compiler.is_compiling():
            return self._nearest((q @ rotations).unflatten(-1, (rounds, columns)))
        rows = max(1, ROWS // (q.shape[0] * q.shape[1] * rotations.shape[2]))
        parts = [self._nearest((part @ rotations).unflatten(-1, (rounds, columns))) for part in q.split(rows, dim=2)]
        return torch.cat(parts, dim=-1)

    def _nearest(self, rotated: Tensor) -> Tensor:  # b h n R s -> b h R n
        found, stride = torch.zeros_like(rotated[..., 0], dtype=torch.long), 1
        for size, part in zip(self.buckets, rotated.split([size // 2 for size in self.buckets], -1), strict=True):
            nearest = part.abs().argmax(-1, keepdim=True)
            opposite = part.gather(-1, nearest) < 0
            found = found + stride * (nearest + size // 2 * opposite)[..., 0]
            stride *= size
        return found.transpose(2, 3)

    def order(self, buckets: Tensor, real: Tensor | None) -> Tensor:  # b h R n, b 1 n -> b h R n
        """Positions by bucket and within it from left to right; padding in a bucket of its own at the end."""
        if real is not None:
            buckets = buckets.masked_fill(~real[:, :, None], LAST)
        return buckets.sort(dim=-1, stable=True).indices.int()

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:  # b h n k -> b h n k
        rotations = torch.randn_like(self.rotations) if self.training else self.rotations
        return self.look(q, k, v, mask, rotations, self.dropout if self.training else 0.0)

    def weights(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:  # b h n n
        """The map of the kept rotations: what each position would take from unit vectors, some of them at a time."""
        units = torch.eye(q.shape[2], dtype=q.dtype, device=q.device).expand(*q.shape[:3], -1)
        parts = [self.look(q, k, part, mask, self.rotations, 0.0) for part in units.split(UNITS, dim=-1)]
        return torch.cat(parts, dim=-1)

    def visible(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:  # b h n n
        """Those in the chunks where the queries have led. Zero keys are all liked alike, so each of them gets weight."""
        return self.weights(q, torch.zeros_like(k), mask) > 0

    def show(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> list[Hashed]:
        """The buckets of the kept rotations; none of a text so short that it is looked at exactly."""
        n = q.shape[2]
        if n <= self.chunk:
            return []
        fill = -n % self.chunk
        real = q.new_ones(1, 1, n, dtype=torch.bool) if mask is None else mask[:, 0]
        buckets = self.hash(F.pad(q, (0, 0, 0, fill)), self.rotations)
        return [Hashed(buckets, self.order(buckets, F.pad(real, (0, fill))), self.chunk)]

    def look(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, rotations: Tensor, dropout: float
    ) -> Tensor:  # b h n k -> b h n k
        n, c = q.shape[2], self.chunk
        if not torch.compiler.is_compiling() and n <= c:
            return self.exact(q, k, v, mask, dropout)
        assert mask is None or mask.shape[-2] == 1, (
            "Chunks take a mask of keys, b 1 1 n; one of n x n is what they avoid."
        )
        cut = chunks_of(n, c), c
        real, fill = None if mask is None else mask[:, 0], cut[0] * c - n
        if torch.compiler.is_compiling() or fill:
            real = F.pad(torch.ones(1, 1, n, dtype=torch.bool, device=q.device) if real is None else real, (0, fill))
            q, k, v = (F.pad(x, (0, 0, 0, fill)) for x in (q, k, v))
        with torch.no_grad():
            order = once(lambda: self.order(self.hash(q, rotations), real)).long()  # b h R n
            inverse = torch.empty_like(order).scatter_(
                -1, order, torch.arange(n + fill, device=q.device).expand_as(order)
            )
        where = self.places(order, real, cut)
        q, k, v = (_rows(x[:, :, None], order, inverse).unflatten(3, cut) for x in (q, k, v))  # b h R t c k
        out, denominators = chunk_attention(
            q.flatten(1, 2), self.and_before(k, 0.0), self.and_before(v, 0.0), where, self.rule, dropout
        )  # b hR t c k, b hR t c
        rounds = q.shape[1:3]
        out, denominators = (x.flatten(2, 3).unflatten(1, rounds) for x in (out, denominators))  # b h R n k, b h R n
        shares = denominators.gather(-1, inverse).softmax(2)  # as one softmax, a round counts by its denominator
        return (_rows(out, inverse, order) * shares[..., None].to(out.dtype)).sum(2)[:, :, :n]

    def places(self, order: Tensor, real: Tensor | None, cut: tuple[int, int]) -> Places:  # b h R n, b 1 n
        queries = keys = order.float()
        if real is not None:
            seen = real[:, :, None].expand(*order.shape[:3], -1).gather(-1, order)
            keys = keys.masked_fill(~seen, NOWHERE)
        return Places(queries.unflatten(3, cut).flatten(1, 2), self.and_before(keys.unflatten(3, cut), NOWHERE))

    def and_before(self, x: Tensor, fill: float) -> Tensor:  # b h R t c ... -> b hR 1+t c ...
        """A round's chunks, and the one that its first chunk looks back to."""
        last = x[:, :, :, -1:]
        return torch.cat([last.roll(1, 2) if self.wrap else torch.full_like(last, fill), x], dim=3).flatten(1, 2)

    def last(self, queries: Tensor, values: Tensor, buckets: Tensor) -> Tensor:  # b h t k, b h t k, b h R t -> b h 1 k
        """What the newest position sees: its place in the sorted order, the chunk there and the one before."""
        t, c = queries.shape[2], self.chunk
        if t <= c:
            return super().last(queries, values, buckets)
        padded = F.pad(buckets, (0, -t % c), value=LAST)
        order = self.order(padded, None).long()
        first = (order == t - 1).int().argmax(-1, keepdim=True) // c * c  # b h R 1
        whole = self.and_before(order.unflatten(-1, (-1, c)), -1).view(*order.shape[:3], -1)  # b h R c+n
        seen = whole.gather(-1, first + torch.arange(2 * c, device=first.device))  # b h R 2c
        distances = (seen - (t - 1)).float().masked_fill((seen < 0) | (seen >= t), NOWHERE)
        index = seen.clamp(0, t - 1).flatten(2)[..., None]  # b h 2cR 1
        near, values = (torch.take_along_dim(x, index, dim=2) for x in (queries, values))  # b h 2cR k
        return self.of_one(queries[:, :, -1:], near, values, distances.flatten(2)[:, :, None])

    def remember(self, q: Tensor) -> Tensor:  # b h n k -> b h R n
        return self.hash(q, self.rotations)


class _Rows(torch.autograd.Function):
    """Rows in another order, whose gradient is a gathering too: torch's own scatters, which is slow."""

    @staticmethod
    def forward(ctx, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(inverse)
        ctx.one = x.shape[2] == 1
        return _take(x, order)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):  # type: ignore[override, no-untyped-def]
        (inverse,) = ctx.saved_tensors
        if not ctx.one:
            return _take(grad, inverse), None, None
        rounds = zip(grad.split(1, 2), inverse.split(1, 2), strict=True)
        return sum(_take(part, index) for part, index in rounds), None, None


def _take(x: Tensor, index: Tensor) -> Tensor:  # b h 1|R n k, b h R n -> b h R n k
    first = torch.arange(x.shape[:3].numel(), device=x.device).view(*x.shape[:3], 1) * x.shape[3]
    return x.reshape(-1, x.shape[-1]).index_select(0, (index + first).flatten()).view(*index.shape, -1)


def _rows(x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:  # b h 1|R n k, twice b h R n -> b h R n k
    """The vectors of x at the places that `order` names; `inverse` undoes it."""
    if torch.compiler.is_compiling():
        return x.expand(-1, -1, order.shape[2], -1, -1).gather(3, order[..., None].expand(-1, -1, -1, -1, x.shape[-1]))
    return _Rows.apply(x, order, inverse)
