"""What the training engine knows of a task. It does not know what a batch holds."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn


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

    def parameters(self, model: nn.Module, player: str) -> list[nn.Parameter]:
        """What the player's optimiser may change."""

    def plan(self, epoch: int) -> list[np.ndarray]:
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
