"""The one interface: `Context`, `Layer`, and `select`, which reorders any cache.

Letters in shapes, everywhere in this library: b batch, n length, m memory length, d width, h heads, k head width,
r rows of a decoding step (hypotheses; r = b * hypotheses per sentence, those of one sentence side by side),
v vocabulary.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Context(NamedTuple):
    """What a layer may see besides its input. Masks are True where looking is allowed."""

    mask: Tensor | None = None  # b 1 1|n n
    memory: Tensor | None = None  # b m d
    memory_mask: Tensor | None = None  # b 1 1|n m


class Layer(nn.Module):
    """Anything that can be stacked: `b n d -> b n d`.

    The default `step` reads the whole past again, so every causal layer can decode from the day it is written;
    a layer overrides `init_cache` and `step` to be fast, and the law `step == forward` checks the override.
    """

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n d
        raise NotImplementedError

    def init_cache(self, x: Tensor, context: Context) -> Any:
        """The cache before the first step; `x` is `b 0 d` and tells batch, width, type and device."""
        return x

    def step(self, x: Tensor, cache: Any, context: Context) -> tuple[Tensor, Any]:
        """`forward` for one more position: `r 1 d -> r 1 d` and the next cache."""
        past = torch.cat([cache, x], dim=1)
        return self(past, context)[:, -1:], past


class Pointwise(Layer):
    """A layer in which no position sees another, so a step is the forward pass and there is nothing to keep."""

    def init_cache(self, x: Tensor, context: Context) -> Any:
        return ()

    def step(self, x: Tensor, cache: Any, context: Context) -> tuple[Tensor, Any]:
        return self(x, context), cache


class PerSentence(NamedTuple):
    """The part of a cache that exists once per source sentence, shared by all its hypotheses."""

    tensors: tuple[Tensor, ...]  # each b ...


def select(cache: Any, rows: Tensor, sentences: Tensor | None = None) -> Any:
    """The cache of the given `rows` (hypotheses); what exists once per sentence follows `sentences` (None: as it was)."""
    if isinstance(cache, Tensor):
        return cache.index_select(0, rows)
    if isinstance(cache, PerSentence):
        if sentences is None:
            return cache
        return PerSentence(tuple(tensor.index_select(0, sentences) for tensor in cache.tensors))
    if hasattr(cache, "select"):  # a cache with a layout of its own
        return cache.select(rows)
    children = [select(child, rows, sentences) for child in cache]
    return type(cache)(*children) if hasattr(cache, "_fields") else type(cache)(children)
