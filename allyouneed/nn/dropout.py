"""Dropout from cheap random bytes: one 64-bit draw decides eight elements.

On a CPU `bernoulli_` draws one number per element on one thread and took 15 % of a training step (docs/performance.md).
The price is that the keep probability comes in steps of 1/256; the kept values are scaled by the probability really
used, so the expectation is exact.
"""

import torch
from torch import Tensor, nn


def byte_mask(shape: torch.Size, drop: int, device: torch.device) -> Tensor:
    """A boolean mask, True = keep, in which each element is dropped with probability drop / 256."""
    count = shape.numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64, device=device)
    # All 64 bits: the default range leaves the sign bit zero, and so one byte in eight biased.
    words.random_(-(2**63), None)
    return (words.view(torch.uint8)[:count] >= drop).view(shape)


class _ByteDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, drop: int) -> Tensor:  # type: ignore[override]
        keep = byte_mask(x.shape, drop, x.device)
        ctx.save_for_backward(keep)
        ctx.scale = 256 / (256 - drop)
        return (x * keep).mul_(ctx.scale)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (keep,) = ctx.saved_tensors
        return (grad * keep).mul_(ctx.scale), None


class Dropout(nn.Dropout):
    """`nn.Dropout` with the fast mask on a CPU; elsewhere and under a compiler, which fuse their own, the plain one."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        drop = round(self.p * 256)
        if x.device.type != "cpu" or torch.compiler.is_compiling() or not 0 < drop < 256:
            return super().forward(x)
        return _ByteDropout.apply(x, drop)
