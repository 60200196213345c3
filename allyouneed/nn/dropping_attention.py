"""Attention whose weights are dropped in training, made fast for short sequences on a CPU.

The library kernel draws its dropout element by element and keeps the weights in full width. Here the random bits are
cheap bytes (`nn/dropout.py`), and what the backward pass needs is kept narrow. `plain_attention` is the twin for tests.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from allyouneed.nn.attention import Attend
from allyouneed.nn.dropout import byte_mask
from allyouneed.nn.kernels import SHORT


def _weights(scores: Tensor, mask: Tensor | None, scale: float, heads: int) -> Tensor:  # (b h) n m
    """The softmax in float32 at least, narrowed again; rows that see nothing are zero."""
    wide = scores.to(torch.promote_types(scores.dtype, torch.float32)).mul_(scale)
    if mask is None:
        return wide.softmax(-1).to(scores.dtype)
    wide = wide.unflatten(0, (-1, heads)).masked_fill_(~mask, -1e30).softmax(-1)  # b h n m
    sees = mask.any(-1, keepdim=True)
    wide = wide if bool(sees.all()) else wide * sees
    return wide.flatten(0, 1).to(scores.dtype)


class _DroppingAttention(torch.autograd.Function):
    """dropout(softmax(q k^T / sqrt(d_k))) v for q, k, v `b h n k`; `drop` of 256 weights are dropped."""

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, drop: int) -> Tensor:  # type: ignore[override]
        b, h = q.shape[:2]
        q, k, v = (t.reshape(b * h, -1, t.shape[-1]) for t in (q, k, v))
        weights = _weights(torch.bmm(q, k.transpose(1, 2)), mask, q.shape[-1] ** -0.5, h)  # (b h) n m
        keep, ctx.scale = byte_mask(weights.shape, drop, q.device), 256 / (256 - drop)
        kept = (weights * keep).mul_(ctx.scale)
        ctx.save_for_backward(q, k, v, weights, keep)
        return torch.bmm(kept, v).unflatten(0, (b, h))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):  # type: ignore[override, no-untyped-def]
        q, k, v, weights, keep = ctx.saved_tensors
        split, wide = grad.shape[:2], torch.promote_types(q.dtype, torch.float32)
        grad = grad.reshape(q.shape)
        grad_v = torch.bmm((weights * keep).mul_(ctx.scale).transpose(1, 2), grad)
        grad_weights = torch.bmm(grad, v.transpose(1, 2)).to(wide).mul_(keep).mul_(ctx.scale)
        grad_scores = torch._softmax_backward_data(grad_weights, weights.to(wide), -1, wide)
        grad_scores = grad_scores.mul_(q.shape[-1] ** -0.5).to(q.dtype)
        grad_q, grad_k = torch.bmm(grad_scores, k), torch.bmm(grad_scores.transpose(1, 2), q)
        return (*(g.unflatten(0, split) for g in (grad_q, grad_k, grad_v)), None, None)


class DroppingAttend(Attend):
    """Exact attention with dropout of its weights, which BERT has and the 2017 paper has not."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:  # b h n k -> b h n k
        drop = round(self.dropout * 256)
        eager = q.device.type == "cpu" and not torch.compiler.is_compiling()
        if self.training and eager and 0 < drop < 256 and q.shape[-2] <= SHORT and 0 < k.shape[-2] <= SHORT:
            return _DroppingAttention.apply(q, k, v, mask, drop)
        return super().forward(q, k, v, mask)
