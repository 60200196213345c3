"""Wraps: where norm and residual sit around a layer, and the norms themselves."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from allyouneed.nn.dropout import Dropout
from allyouneed.nn.layer import Context, Layer, Pointwise

NormMaker = Callable[[], nn.Module]


class Norm(Pointwise):
    """LayerNorm as a layer of its own: the end of a pre-norm stack, letter n of an order."""

    def __init__(self, dim: int, eps: float = 1e-5):
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=eps)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        return self.norm(x)


class TokenBatchNorm(nn.BatchNorm1d):
    """BatchNorm over tokens: each feature is normalised over batch and length, for comparison with LayerNorm.

    The trap is the comparison's point: padding and the other sentences of the batch enter the statistics.
    """

    def forward(self, x: Tensor) -> Tensor:  # b n d -> b n d
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class Dropped(Layer):
    """dropout(layer(x)), without a residual connection: all that recurrent translators put around a layer."""

    def __init__(self, layer: Layer, dropout: float):
        super().__init__()
        self.layer = layer
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        return self.dropout(self.layer(x, context))

    def init_cache(self, x: Tensor, context: Context) -> Any:
        return self.layer.init_cache(x, context)

    def step(self, x: Tensor, cache: Any, context: Context) -> tuple[Tensor, Any]:
        return self.layer.step(x, cache, context)


class Wrapped(Layer):
    """A layer inside a residual connection; the subclasses differ in the walk alone."""

    def __init__(self, layer: Layer, dim: int, dropout: float = 0.0, norm: NormMaker | None = None):
        super().__init__()
        self.layer = layer
        self.norm = norm() if norm else nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def init_cache(self, x: Tensor, context: Context) -> Any:
        return self.layer.init_cache(x, context)


class PreNorm(Wrapped):
    """x + dropout(layer(norm(x))): tensor2tensor since 2018. Trains without warm-up; needs a norm at the stack's end."""

    def forward(self, x: Tensor, context: Context) -> Tensor:
        return x + self.dropout(self.layer(self.norm(x), context))

    def step(self, x: Tensor, cache: Any, context: Context) -> tuple[Tensor, Any]:
        seen, cache = self.layer.step(self.norm(x), cache, context)
        return x + seen, cache


class PostNorm(Wrapped):
    """norm(x + dropout(layer(x))): the paper (section 3.1)."""

    def forward(self, x: Tensor, context: Context) -> Tensor:
        return self.norm(x + self.dropout(self.layer(x, context)))

    def step(self, x: Tensor, cache: Any, context: Context) -> tuple[Tensor, Any]:
        seen, cache = self.layer.step(x, cache, context)
        return self.norm(x + seen), cache


def layer_norm(dim: int, eps: float) -> NormMaker:
    """A maker of LayerNorms, each with its own weights."""
    return lambda: nn.LayerNorm(dim, eps=eps)


def token_batch_norm(dim: int, eps: float = 1e-5) -> NormMaker:
    return lambda: TokenBatchNorm(dim, eps=eps)
