"""Stochastic depth: in training a whole branch is left out, sample by sample (Huang et al. 2016, arXiv:1603.09382)."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from allyouneed.nn.layer import Context, Layer
from allyouneed.nn.wrap import NormMaker, PreNorm


class StochasticDepth(nn.Module):
    """Zeros for a sample with probability `rate`, and its own values otherwise: `b ... -> b ...`.

    What is kept is divided by 1 - rate, so that the expectation stays (timm). big_vision's Mixer does without.
    """

    def __init__(self, rate: float = 0.0, rescale: bool = True):
        super().__init__()
        self.rate = rate
        self.scale = 1 / (1 - rate) if rescale else 1.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        keep = torch.rand(x.shape[0], *[1] * (x.dim() - 1), device=x.device) >= self.rate
        return x * (keep * self.scale).to(x.dtype)


class Branch(PreNorm):
    """x + depth(scale * dropout(layer(norm(x)))): `PreNorm` with stochastic depth and, if asked for, LayerScale.

    LayerScale is a learned factor per channel that begins near zero (Touvron et al. 2021, arXiv:2103.17239).
    """

    def __init__(
        self, layer: Layer, dim: int, dropout: float, norm: NormMaker, depth: StochasticDepth,
        layer_scale: float | None = None,
    ):  # fmt: skip
        super().__init__(layer, dim, dropout, norm)
        self.depth = depth
        self.scale = nn.Parameter(torch.full((dim,), layer_scale)) if layer_scale is not None else None

    def scaled(self, x: Tensor) -> Tensor:
        return x if self.scale is None else x * self.scale

    def branch(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n d
        return self.depth(self.scaled(self.dropout(self.layer(self.norm(x), context))))

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n d
        return x + self.branch(x, context)

    def step(self, x: Tensor, cache: Any, context: Context) -> tuple[Tensor, Any]:
        seen, cache = self.layer.step(self.norm(x), cache, context)
        return x + self.scaled(seen), cache


def rising(rate: float, count: int) -> Iterator[float]:
    """Rates from 0 for the first of `count` branches to `rate` for the last."""
    return iter([rate * i / max(count - 1, 1) for i in range(count)])
