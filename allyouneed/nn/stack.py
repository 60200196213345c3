"""Stacks: layers in the order that a string spells, and one layer repeated.

Letters in use: s self-attention, c cross-attention, f feed-forward, n norm.
"""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn

from allyouneed.nn.layer import Context, Layer


def sandwich(n: int, k: int, attention: str = "s", feed: str = "f") -> str:
    """The order s^k (sf)^(n-k) f^k (Press et al. 2020): attention gathers below, feed-forward above.

    k = 0 is the usual interleaved order. Every k has n sublayers of each kind, so the same parameters and the same work.
    The paper goes up to k = n - 1; at k = n nothing is interleaved any more. In a decoder `attention` is "sc": the two
    kinds of attention move together.
    """
    if not 0 <= k <= n:
        raise ValueError(f"sandwich({n}, {k}) is not possible: k sublayers go to each end, and k is from 0 to n = {n}.")
    return attention * k + (attention + feed) * (n - k) + feed * k


class Stack(Layer):
    """Layers by letter: `Stack("sfsf", s=make_attention, f=make_feedforward)`.

    It takes makers, not layers, so that each place gets weights of its own. Children are named by index and letter
    (`0s 1f 2s ...`), so a weight's name says where it sits.
    """

    def __init__(self, order: str, **makers: Callable[[], Layer]):
        super().__init__()
        unknown = sorted(set(order) - set(makers))
        if unknown:
            raise ValueError(
                f"The order {order!r} has the letter {unknown[0]!r}, which this model does not know; "
                f"it knows {', '.join(sorted(makers))}."
            )
        self.order = order
        self.layers = nn.ModuleDict({f"{i}{letter}": makers[letter]() for i, letter in enumerate(order)})

    def each(self, x: Tensor, context: Context) -> Iterator[Tensor]:
        """The output of every layer in turn, for who needs what lies between."""
        for layer in self.layers.values():
            x = layer(x, context)
            yield x

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n d
        for layer in self.layers.values():
            x = layer(x, context)
        return x

    def init_cache(self, x: Tensor, context: Context) -> tuple[Any, ...]:
        return tuple(layer.init_cache(x, context) for layer in self.layers.values())  # type: ignore[operator]

    def step(self, x: Tensor, cache: tuple[Any, ...], context: Context) -> tuple[Tensor, tuple[Any, ...]]:
        caches = []
        for layer, past in zip(self.layers.values(), cache, strict=True):
            x, past = layer.step(x, past, context)  # type: ignore[operator]
            caches.append(past)
        return x, tuple(caches)


class Repeat(Layer):
    """One layer run many times with the same weights (ALBERT, Universal Transformer); each turn keeps its own cache."""

    def __init__(self, layer: Layer, times: int):
        super().__init__()
        self.layer = layer
        self.times = times

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n d
        for _ in range(self.times):
            x = self.layer(x, context)
        return x

    def init_cache(self, x: Tensor, context: Context) -> tuple[Any, ...]:
        return tuple(self.layer.init_cache(x, context) for _ in range(self.times))

    def step(self, x: Tensor, cache: tuple[Any, ...], context: Context) -> tuple[Tensor, tuple[Any, ...]]:
        caches = []
        for past in cache:
            x, past = self.layer.step(x, past, context)
            caches.append(past)
        return x, tuple(caches)
