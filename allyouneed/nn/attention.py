"""Multi-head attention. It projects; a weightless `attend` does the looking, and other papers change only that."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from allyouneed.nn.kernels import attention, attention_weights
from allyouneed.nn.layer import Context, Layer, PerSentence
from allyouneed.nn.masks import causal_mask, combine


class Attend(nn.Module):
    """Exact scaled dot-product attention, softmax(q k^T / sqrt(d_k)) v (Vaswani et al. 2017, equation 1).

    Without the scale the variance of q·k is d_k, the softmax saturates and its gradient dies (section 3.2.1).
    """

    causal = False

    def __init__(self, dropout: float = 0.0):
        super().__init__()
        self.dropout = dropout

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:  # b h n k -> b h n k
        return attention(q, k, v, mask, self.causal, self.dropout if self.training else 0.0)

    def weights(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:  # b h n m
        """The attention map, made anew for who wants to look at it. Rows sum to one, or to zero if they see nothing."""
        if self.causal:
            mask = combine(mask, causal_mask(q.shape[-2], k.shape[-2], q.device))
        return attention_weights(q, k, mask)

    def visible(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:  # b|1 h|1 n m
        """Which cells of the map may be looked at. Masked is not the same as a weight of zero."""
        n, m = q.shape[-2], k.shape[-2]
        every = torch.ones(1, 1, n, m, dtype=torch.bool, device=q.device)
        return every & combine(every, mask, causal_mask(n, m, q.device) if self.causal else None)  # type: ignore[operator]


class CausalAttend(Attend):
    """The same, and no position sees a later one (section 3.2.3)."""

    causal = True


def split_heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # b n (h k) -> b h n k


def merge_heads(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)  # b h n k -> b n (h k)


class KeyValues(NamedTuple):
    """What self-attention keeps of the past."""

    keys: Tensor  # r h n k
    values: Tensor  # r h n k

    def append(self, keys: Tensor, values: Tensor) -> "KeyValues":
        return KeyValues(torch.cat([self.keys, keys], dim=2), torch.cat([self.values, values], dim=2))


class SelfAttention(Layer):
    """Multi-head self-attention (section 3.2.2): one product makes q, k and v of all heads."""

    def __init__(self, dim: int, heads: int, attend: Attend | None = None, bias: bool = True):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=bias)
        self.out = nn.Linear(dim, dim, bias=bias)
        self.attend = attend or Attend()

    def project(self, x: Tensor) -> tuple[Tensor, ...]:  # b n d -> 3 times b h n k
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # b n 3 h k
        return qkv.permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        q, k, v = self.project(x)
        return self.out(merge_heads(self.attend(q, k, v, context.mask)))

    def init_cache(self, x: Tensor, context: Context) -> KeyValues:
        empty = x.new_empty(x.shape[0], self.heads, 0, x.shape[-1] // self.heads)
        return KeyValues(empty, empty)

    def step(self, x: Tensor, cache: KeyValues, context: Context) -> tuple[Tensor, KeyValues]:
        q, k, v = self.project(x)
        cache = cache.append(k, v)
        return self.out(merge_heads(self.attend(q, cache.keys, cache.values))), cache


class CrossAttention(Layer):
    """Attention from a text to the memory of another (section 3.2.3, first item).

    When x has more rows than the memory, the rows are hypotheses of one sentence side by side: they become more queries
    to the same keys, which therefore exist once per sentence.
    """

    def __init__(self, dim: int, heads: int, attend: Attend | None = None, bias: bool = True):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim, bias=bias)
        self.kv = nn.Linear(dim, 2 * dim, bias=bias)
        self.out = nn.Linear(dim, dim, bias=bias)
        self.attend = attend or Attend()

    def keys_values(self, memory: Tensor) -> tuple[Tensor, ...]:  # b m d -> 2 times b h m k
        kv = self.kv(memory).unflatten(-1, (2, self.heads, -1))  # b m 2 h k
        return kv.permute(2, 0, 3, 1, 4).unbind(0)

    def look(self, x: Tensor, memory: tuple[Tensor, ...], mask: Tensor | None) -> Tensor:  # r n d -> r n d
        keys, values = memory
        q = self.q(x).reshape(keys.shape[0], -1, x.shape[-1])  # (b hypotheses) n d -> b (hypotheses n) d
        seen = self.attend(split_heads(q, self.heads), keys, values, mask)
        return self.out(merge_heads(seen).reshape(x.shape))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        assert context.memory is not None, "Cross-attention needs a memory in its context."
        return self.look(x, self.keys_values(context.memory), context.memory_mask)

    def init_cache(self, x: Tensor, context: Context) -> PerSentence:
        assert context.memory is not None, "Cross-attention needs a memory in its context."
        keys, values = self.keys_values(context.memory)
        return PerSentence((keys.contiguous(), values.contiguous()))

    def step(self, x: Tensor, cache: PerSentence, context: Context) -> tuple[Tensor, PerSentence]:
        return self.look(x, cache.tensors, context.memory_mask), cache
