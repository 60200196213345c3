"""Restricted self-attention (Vaswani et al. 2017, section 4 and table 1): a position looks at its neighbourhood only.

Two meanings that must not share a name:
window   position i sees i - left ... i + right: `left + right + 1` keys, itself among them
chunked  the text is cut into chunks of c; a position sees its chunk, some before and some after it, so that what it
         sees depends on where it stands in its chunk (Reformer's local layers, and the package local-attention)

Both cost n times the neighbourhood, and a path between two places is O(n / neighbourhood) layers long.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.nn.attention import Attend, KeyValues, SelfAttention, merge_heads
from allyouneed.nn.chunks import NEVER, NOWHERE, Places, Rule, chunk_attention, chunks_of
from allyouneed.nn.kernels import SHORT, attention, attention_weights
from allyouneed.nn.layer import Context
from allyouneed.nn.masks import combine


class LocalAttend(Attend):
    """Exact attention within a band of keys that the subclass names; of a long text nothing of size n x n is ever made.

    `chunk` positions are treated at once, looking `before` and `after` chunks away.
    """

    chunk: int
    before: int
    after: int

    def sees(self, queries: Tensor, keys: Tensor) -> Tensor:  # ... n 1, ... 1 m -> ... n m
        """Who may see whom, by their places."""
        raise NotImplementedError

    def keep(self, length: int) -> int:
        """How many of the last `length` positions the next one may still see, or one after it."""
        raise NotImplementedError

    def dense_mask(self, n: int, device: torch.device) -> Tensor:  # n n
        places = torch.arange(n, device=device)
        return self.sees(places[:, None], places)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:  # b h n k -> b h n k
        dropout, n = self.dropout if self.training else 0.0, q.shape[2]
        if not torch.compiler.is_compiling() and n <= SHORT:
            return attention(q, k, v, combine(self.dense_mask(n, q.device), mask), dropout=dropout)
        assert mask is None or mask.shape[-2] == 1, (
            "Chunks take a mask of keys, b 1 1 n; one of n x n is what they avoid."
        )
        places = torch.arange(n, dtype=torch.float32, device=q.device).view(1, 1, n)
        keys = places if mask is None else places.masked_fill(~mask[:, 0], NOWHERE)  # 1|b 1 n
        q = q * q.shape[-1] ** -0.5
        q, k, v = self.cut(q, 0, 0), self.cut(k, self.before, self.after), self.cut(v, self.before, self.after)
        where = Places(self.cut(places, 0, 0, NOWHERE), self.cut(keys, self.before, self.after, NOWHERE))
        out, denominators = chunk_attention(q, k, v, where, self.rule(), dropout)
        if mask is not None:  # a row that may see nothing gives zeros
            out = out * (denominators > NEVER / 2)[..., None]
        return out.flatten(2, 3)[:, :, :n]

    def rule(self) -> Rule:
        def bias(queries: Tensor, keys: Tensor) -> Tensor:
            return torch.where(self.sees(queries, keys) & (keys < NOWHERE), 0.0, NEVER)

        return bias

    def cut(self, x: Tensor, before: int, after: int, fill: float = 0.0) -> Tensor:  # b h n ... -> b h t c ...
        """The text in chunks, the last filled up, and more of `fill` before and after."""
        n, c = x.shape[2], self.chunk
        chunks = before + chunks_of(n, c) + after
        x = F.pad(x, (*(0, 0) * (x.dim() - 3), before * c, (chunks - before) * c - n), value=fill)
        return x.unflatten(2, (chunks, c))

    def weights(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:  # b h n n
        return attention_weights(q, k, combine(self.dense_mask(q.shape[2], q.device), mask))

    def visible(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:  # b|1 1 n n
        return super().visible(q, k, combine(self.dense_mask(q.shape[2], q.device), mask))


class WindowAttend(LocalAttend):
    """A window that slides: position i sees i - left ... i + right.

    The trap is the window's name: "a window of w" is w keys with itself in some codes and w besides itself in others.
    """

    def __init__(self, left: int, right: int = 0, dropout: float = 0.0):
        super().__init__(dropout)
        self.left, self.right = left, right
        reach = max(left, right, 1)
        self.chunk = max(32, -(-reach // -(-reach // 64)))  # about 64, and the reach a multiple of it
        self.before, self.after = -(-left // self.chunk), -(-right // self.chunk)

    def sees(self, queries: Tensor, keys: Tensor) -> Tensor:
        return (keys >= queries - self.left) & (keys <= queries + self.right)

    def keep(self, length: int) -> int:
        return min(length, self.left + 1)


class ChunkAttend(LocalAttend):
    """Chunks of `chunk`: a position sees its own, `before` before it and `after` after it.

    Hugging Face's encoder wraps around, so that the first chunk sees the last; here nothing lies beyond the ends.
    """

    def __init__(self, chunk: int, before: int = 1, after: int = 1, dropout: float = 0.0):
        super().__init__(dropout)
        self.chunk, self.before, self.after = chunk, before, after

    def sees(self, queries: Tensor, keys: Tensor) -> Tensor:
        chunks = torch.div(keys, self.chunk, rounding_mode="floor") - torch.div(
            queries, self.chunk, rounding_mode="floor"
        )
        return (chunks >= -self.before) & (chunks <= self.after)

    def keep(self, length: int) -> int:
        whole = (self.before + 1) * self.chunk
        return length if length <= whole else whole - self.chunk + 1


class CausalChunkAttend(ChunkAttend):
    """The same, and no position sees a later one."""

    def __init__(self, chunk: int, before: int = 1, dropout: float = 0.0):
        super().__init__(chunk, before, 0, dropout)

    def sees(self, queries: Tensor, keys: Tensor) -> Tensor:
        return super().sees(queries, keys) & (keys <= queries)


class LocalSelfAttention(SelfAttention):
    """Self-attention whose cache is as long as the neighbourhood: what no later position can see is let go.

    The cache is a value, so each step copies it; it reads as much anyway, and a ring with a place to write would have to
    be copied all the same.
    """

    attend: LocalAttend

    def __init__(self, dim: int, heads: int, attend: LocalAttend, bias: bool = True, head_dim: int | None = None):
        super().__init__(dim, heads, attend, bias)
        self.head_dim = head_dim or dim // heads
        if self.head_dim * heads != dim:  # Reformer's heads may be together narrower or wider than the model
            self.qkv = nn.Linear(dim, 3 * heads * self.head_dim, bias=bias)
            self.out = nn.Linear(heads * self.head_dim, dim, bias=bias)

    def init_cache(self, x: Tensor, context: Context) -> KeyValues:
        empty = x.new_empty(x.shape[0], self.heads, 0, self.head_dim)
        return KeyValues(empty, empty)

    def step(self, x: Tensor, cache: KeyValues, context: Context) -> tuple[Tensor, KeyValues]:
        q, k, v = self.project(x)
        kept = self.attend.keep(cache.keys.shape[2] + 1)
        cache = KeyValues(*(past[:, :, -kept:] for past in cache.append(k, v)))
        return self.out(merge_heads(attention(q, cache.keys, cache.values, None))), cache
