"""Self-attention with one projection for queries and keys (Reformer, Kitaev et al. 2020, section 2, "Shared-QK").

Keys are the queries cut to length 1, so a position's best match would be itself: it looks at itself only where it may
look at nobody else.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.nn.attention import Attend, merge_heads, split_heads
from allyouneed.nn.chunks import NEVER, NOWHERE
from allyouneed.nn.layer import Context, Layer

ITSELF = -1e5  # added to a position's score of itself: too low beside any other, and better than nothing


def unit_length(x: Tensor, eps: float = 1e-6) -> Tensor:  # ... k -> ... k
    """Vectors cut to length 1 in trax's way, whose eps stands beside the mean of the squares and not beside their sum."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * (wide.square().mean(-1, keepdim=True) + eps).rsqrt() * x.shape[-1] ** -0.5).to(x.dtype)


class SharedAttend(Attend):
    """Exact attention to the others. The keys' length is all the scale there is."""

    def __init__(self, causal: bool = False, dropout: float = 0.0):
        super().__init__(dropout)
        self.causal = causal

    def rule(self, queries: Tensor, keys: Tensor) -> Tensor:  # ... n 1, ... 1 m -> ... n m
        """What is added to the scores of queries and keys at these places."""
        if self.causal:
            bias = (queries - keys).clamp_(max=0).mul_(-NEVER)  # cheaper than a mask: the later, the lower
        else:
            bias = torch.where(keys < NOWHERE, 0.0, NEVER).expand(torch.broadcast_shapes(queries.shape, keys.shape))
        return bias.masked_fill(queries == keys, ITSELF)

    def bias(self, n: int, mask: Tensor | None, like: Tensor) -> Tensor:  # 1|b 1 n n
        places = torch.arange(n, dtype=torch.float32, device=like.device)
        keys = places.view(1, 1, 1, n) if mask is None else places.masked_fill(~mask, NOWHERE)
        return self.rule(places[:, None], keys).to(like.dtype)

    def exact(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, self.bias(q.shape[2], mask, q), dropout, scale=1.0)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:  # b h n k -> b h n k
        return self.exact(q, k, v, mask, self.dropout if self.training else 0.0)

    def weights(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:  # b h n n
        return (q @ k.transpose(-1, -2) + self.bias(q.shape[2], mask, q)).softmax(-1)

    def visible(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:  # b|1 1 n n
        """A position itself is not among them, unless it may look at nobody else."""
        return self.bias(q.shape[2], mask, q.float()).softmax(-1) > 0

    def remember(self, q: Tensor) -> Tensor:  # b h n k -> b h R n
        """What is kept of vectors besides themselves; here nothing."""
        return torch.empty(*q.shape[:2], 0, q.shape[2], dtype=torch.long, device=q.device)

    def last(self, queries: Tensor, values: Tensor, kept: Tensor) -> Tensor:  # b h t k, b h t k, b h R t -> b h 1 k
        """What the newest position sees of all so far."""
        places = torch.arange(queries.shape[2], dtype=torch.float32, device=queries.device)
        return self.of_one(queries[:, :, -1:], queries, values, places - places[-1])

    def of_one(self, q: Tensor, near: Tensor, values: Tensor, distances: Tensor) -> Tensor:  # -> b h 1 k
        """One query `b h 1 k` over the vectors `b h m k` that lie so far from it: 0 is itself, NOWHERE is no key."""
        scores = q @ unit_length(near).transpose(-1, -2)  # b h 1 m
        bias = self.rule(distances.new_zeros(1), distances)
        return (scores.to(torch.promote_types(scores.dtype, torch.float32)) + bias).softmax(-1).to(
            values.dtype
        ) @ values


class SharedCache(NamedTuple):
    """What shared-QK attention keeps of the past."""

    queries: Tensor  # r h t k
    values: Tensor  # r h t k
    kept: Tensor  # r h R t


class SharedSelfAttention(Layer):
    """Projections of shared-QK attention; `attend` looks exactly or by hashing."""

    def __init__(self, dim: int, heads: int, attend: SharedAttend, head_dim: int | None = None, bias: bool = False):
        super().__init__()
        self.heads = heads
        self.head_dim = head_dim or dim // heads
        inner = heads * self.head_dim
        self.qk = nn.Linear(dim, inner, bias=bias)
        self.v = nn.Linear(dim, inner, bias=bias)
        self.out = nn.Linear(inner, dim, bias=bias)
        self.attend = attend

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:  # b n d -> 2 times b h n k
        return split_heads(self.qk(x), self.heads), split_heads(self.v(x), self.heads)

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n d
        q, v = self.project(x)
        return self.out(merge_heads(self.attend(q, unit_length(q), v, context.mask)))

    def init_cache(self, x: Tensor, context: Context) -> SharedCache:
        empty = x.new_empty(x.shape[0], self.heads, 0, self.head_dim)
        return SharedCache(empty, empty, self.attend.remember(empty))

    def step(self, x: Tensor, cache: SharedCache, context: Context) -> tuple[Tensor, SharedCache]:
        q, v = self.project(x)
        queries, values = torch.cat([cache.queries, q], dim=2), torch.cat([cache.values, v], dim=2)
        kept = torch.cat([cache.kept, self.attend.remember(q)], dim=3)
        return self.out(merge_heads(self.attend.last(queries, values, kept))), SharedCache(queries, values, kept)
