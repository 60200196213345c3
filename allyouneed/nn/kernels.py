"""Fast kernels of attention, chosen here by shape and nowhere else. `plain_attention` is their twin for tests.

q is `b h n k`, k and v are `b h m k`, a mask is boolean and broadcasts to `b h n m`, True where looking is allowed.
A row that may see nothing gives zeros, never NaN.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from allyouneed.nn.masks import causal_mask, combine

SHORT = 128
SHORT_BFLOAT16 = (
    512  # the library's kernel is slower still there: 2.9 times at 197 keys, training (docs/performance.md)
)
"""Up to this many keys two batched products beat the CPU flash kernel: its backward pass is slow there, and in bfloat16
its forward pass too, by 2 to 4 times at one query, which is what decoding asks (docs/performance.md)."""


NAIVE = 400
"""Below this many products per matrix `torch.bmm` loops over them one by one in float32: four times as long as a product
of elements and a sum, for the one query and few keys that every translation begins with."""


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:  # b h n m
    """softmax(q k^T / sqrt(d_k)) over what the mask allows, in float32 at least (equation 1 of the paper)."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if mask is None:
        return scores.softmax(-1)
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
    return weights.masked_fill(~mask, 0.0)  # a row without anything to see would be NaN: its weights are zero


def plain_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float = 0.0) -> Tensor:  # b h n k
    weights = attention_weights(q, k, mask).to(v.dtype)
    return F.dropout(weights, dropout) @ v


def _softmax_(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax of scores that may be overwritten; rows that see nothing become zero."""
    if mask is None:
        return scores.softmax(-1)
    weights = scores.masked_fill_(~mask, -1e30).softmax(-1)
    sees = mask.any(-1, keepdim=True)
    return weights if bool(sees.all()) else weights * sees


def _short_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:  # b h n k
    """`_ShortAttention` where no gradient is asked for: the weights are normalised after the second product.

    `torch.softmax` costs about a fifth of a microsecond for each row, however short, and decoding has many rows of few
    keys: four passes over all of them take a quarter of its time (docs/performance.md).
    """
    b, h, n, d = q.shape
    q, k, v = (t.reshape(b * h, -1, t.shape[-1]) for t in (q, k, v))
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = torch.bmm(q, k.transpose(1, 2)).to(wide).mul_(d**-0.5)  # bh n m
    if mask is not None:
        scores.view(b, h, n, -1).masked_fill_(~mask, float("-inf"))
    highest = scores.amax(-1, keepdim=True).clamp_(min=-1e30)  # a row that sees nothing has none: exp(-inf) is zero
    weights = scores.sub_(highest).exp_()
    total = weights.sum(-1, keepdim=True).clamp_(min=0.5)  # 1 or more, but for the rows that see nothing
    if n == 1 and k.shape[1] * v.shape[-1] < NAIVE and v.dtype == torch.float32:
        seen = (weights.transpose(1, 2) * v).sum(1, keepdim=True)
    else:
        seen = torch.bmm(weights.to(v.dtype), v)
    return seen.div_(total).view(b, h, n, -1)


class _ShortAttention(torch.autograd.Function):
    """Two batched products and a softmax in float32 at least between; backward keeps its weights, narrowed."""

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:  # type: ignore[override]
        b, h, n, d = q.shape
        q, k, v = (t.reshape(b * h, -1, t.shape[-1]) for t in (q, k, v))
        ctx.wide = torch.promote_types(q.dtype, torch.float32)
        scores = torch.bmm(q, k.transpose(1, 2)).to(ctx.wide).mul_(d**-0.5).view(b, h, n, -1)
        weights = _softmax_(scores, mask).to(q.dtype).view(b * h, n, -1)
        ctx.save_for_backward(q, k, v, weights)
        ctx.heads = h
        return torch.bmm(weights, v).view(b, h, n, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):  # type: ignore[override, no-untyped-def]
        q, k, v, weights = ctx.saved_tensors
        grad = grad.reshape(q.shape[0], q.shape[1], -1)
        grad_v = torch.bmm(weights.transpose(1, 2), grad)
        grad_weights = torch.bmm(grad, v.transpose(1, 2))
        grad_scores = torch._softmax_backward_data(grad_weights.to(ctx.wide), weights.to(ctx.wide), -1, ctx.wide)
        grad_scores = grad_scores.mul_(q.shape[-1] ** -0.5).to(q.dtype)
        grad_q, grad_k = torch.bmm(grad_scores, k), torch.bmm(grad_scores.transpose(1, 2), q)
        return (*(g.view(-1, ctx.heads, *g.shape[1:]) for g in (grad_q, grad_k, grad_v)), None)


def attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool = False, dropout: float = 0.0
) -> Tensor:
    """Scaled dot-product attention by the kernel that suits the shapes: `b h n k -> b h n k`.

    `causal` aligns the queries with the last keys, so that one query sees all.
    """
    n, m = q.shape[-2], k.shape[-2]
    if q.device.type != "cpu" and causal and mask is None and n == m:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
    if causal and n > 1:
        mask = combine(mask, causal_mask(n, m, q.device))
    eager = q.device.type == "cpu" and dropout == 0.0 and not torch.compiler.is_compiling()
    short = SHORT_BFLOAT16 if q.dtype == torch.bfloat16 else SHORT
    if eager and 0 < m <= short and n <= short and q.shape[0] == k.shape[0]:
        learning = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
        return _ShortAttention.apply(q, k, v, mask) if learning else _short_attention(q, k, v, mask)
    if mask is not None or dropout or m == 0:
        return _guarded(q, k, v, mask, dropout)
    return F.scaled_dot_product_attention(q, k, v)


def _guarded(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """The library kernel with rows that see nothing set to zero, which it does not promise on every device."""
    if mask is None or k.shape[-2] == 0:
        return plain_attention(q, k, v, mask, dropout)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask | ~mask.any(-1, keepdim=True), dropout_p=dropout)
    return out * mask.any(-1, keepdim=True)
