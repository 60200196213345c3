"""What some models ask to be added to their loss: a ponder cost (Universal Transformer)."""

from typing import Any

from torch import Tensor, nn


def hidden_and_cost(model: nn.Module, *inputs: Tensor) -> tuple[Tensor, Tensor | float]:
    """What the head reads, and what is to be added to the mean loss of a token: zero for a model that asks for nothing.

    A model that does has a method `hidden_and_cost` beside `hidden`, with the same inputs, and has weighted it. The
    losses of a task are sums, so they add it times the number of tokens.
    """
    costly: Any = getattr(model, "hidden_and_cost", None)
    return costly(*inputs) if costly else (model.hidden(*inputs), 0.0)  # type: ignore[operator]
