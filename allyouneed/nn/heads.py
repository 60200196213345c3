"""Heads: what is read out. A head offers `logits(x)` and a `loss(x, targets)` that never builds all logits."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.nn.fused_loss import fused_cross_entropy


class Smoothing(NamedTuple):
    """How label smoothing spreads the probability: `true` on the reference, `other` on each other class.

    The conventions have the same best model and other loss values, so a loss means something only with its convention.
    """

    true: float
    other: float

    @classmethod
    def named(cls, convention: str, epsilon: float, vocab_size: int) -> "Smoothing":
        """torch: epsilon / V over all classes, the reference's too; tensor2tensor and fairseq: epsilon / (V - 1)."""
        if convention == "torch":
            return cls(1 - epsilon + epsilon / vocab_size, epsilon / vocab_size)
        if convention in ("tensor2tensor", "fairseq"):
            return cls(1 - epsilon, epsilon / (vocab_size - 1))
        raise ValueError(f"The label smoothing {convention!r} is not known; known are torch, tensor2tensor, fairseq.")


NO_SMOOTHING = Smoothing(1.0, 0.0)


class TokenLoss(NamedTuple):
    """Sums over the real target positions; divide by `tokens` for means."""

    loss: Tensor  # the smoothed cross-entropy, which learns
    nll: Tensor  # minus the log-probability of the reference, in nats: exp(nll / tokens) is the perplexity
    tokens: int


class VocabularyHead(nn.Module):
    """Logits over the vocabulary. Give it an embedding's table to tie the two (Vaswani et al. 2017, section 3.4)."""

    def __init__(self, table: Tensor, bias: bool = False):
        super().__init__()
        self.weight = table  # v d
        self.bias = nn.Parameter(torch.zeros(table.shape[0])) if bias else None

    def logits(self, x: Tensor) -> Tensor:  # b n d -> b n v
        return F.linear(x, self.weight, self.bias)

    def loss(self, x: Tensor, targets: Tensor, smoothing: Smoothing = NO_SMOOTHING, pad: int = 0) -> TokenLoss:
        """Cross-entropy of `b n d` against `b n` targets, summed; positions whose target is `pad` do not exist."""
        real = targets.flatten() != pad
        index = real.nonzero()[:, 0]
        x, targets = x.flatten(0, -2).index_select(0, index), targets.flatten().index_select(0, index)
        loss, nll = fused_cross_entropy(x, self.weight, self.bias, targets, *smoothing)
        return TokenLoss(loss, nll, index.shape[0])
