"""What the training engine knows of a task. It does not know what a batch holds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor, nn


class Group(NamedTuple):
    """Parameters that learn at the same share of the learning rate."""

    parameters: list[nn.Parameter]
    rate: float = 1.0


def trainable(model: nn.Module) -> list[Group]:
    """All that asks for a gradient, at the full rate."""
    return [Group([p for p in model.parameters() if p.requires_grad])]


def by_rate(model: nn.Module, rates: Mapping[str, float]) -> list[Group]:
    """Parameters grouped by their share of the learning rate, given by name; those with 0 do not learn at all."""
    named = [(rates[name], parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    different = sorted({rate for rate, _ in named if rate}, reverse=True)
    return [Group([parameter for rate, parameter in named if rate == wanted], wanted) for wanted in different]


class Task(Protocol):
    """Batches as a pure function of (seed, epoch), a loss, and a score on held-out data.

    A task with several players (a generator and a discriminator) names them in `players`; each has an optimiser of its
    own and takes its turn on every batch. A step of training is a batch consumed, however many turns it takes.
    """

    metric: str
    """Name of the score that chooses between models; larger is better."""

    @property
    def players(self) -> Sequence[str]:
        """Who takes turns; most tasks have one, `model`."""

    def parameters(self, model: nn.Module, player: str) -> list[Group]:
        """What the player's optimiser may change, and how fast; mostly `trainable(model)`."""

    def plan(self, epoch: int) -> Sequence[np.ndarray]:
        """The epoch's batches as index arrays, the same on every rank."""

    def weight(self, batch: np.ndarray, epoch: int) -> int:
        """What a batch's loss sum is divided by (target tokens), known without building the batch."""

    def tokens(self, batch: np.ndarray, epoch: int) -> int:
        """What the speed display counts (source and target tokens)."""

    def collate(self, batch: np.ndarray, epoch: int) -> Any:
        """The batch as a NamedTuple of tensors."""

    def loss(self, model: nn.Module, batch: Any, player: str) -> tuple[Tensor, dict[str, Tensor]]:
        """The player's loss, summed over what `weight` counts, and sums to log."""

    def validate(self, model: nn.Module, quick: bool = False) -> dict[str, float]:
        """Scores on the dev set, `metric` among them; `quick` is for the middle of training."""
