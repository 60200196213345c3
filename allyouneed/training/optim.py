"""Optimisers built from settings."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from allyouneed.tasks.task import Group
from allyouneed.training.lamb import Lamb
from allyouneed.training.settings import TrainingSettings

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, fused=True),
    "adam": partial(torch.optim.Adam, fused=True),
    "lamb": Lamb,
}


def make_optimizer(groups: Sequence[Group], settings: TrainingSettings) -> torch.optim.Optimizer:
    """Adam, AdamW or LAMB with weight decay on matrices alone: norms and biases have nothing to shrink.

    Each group of the optimiser carries its share of the learning rate as `rate`, and whether LAMB's ratio adapts it.
    """
    made: list[dict[str, Any]] = []
    for parameters, rate in groups:
        matrices = [p for p in parameters if p.dim() >= 2]
        vectors = [p for p in parameters if p.dim() < 2]
        made += [
            {"params": matrices, "weight_decay": settings.weight_decay, "rate": rate, "adapt": True},
            {"params": vectors, "weight_decay": 0.0, "rate": rate, "adapt": False},
        ]
    return OPTIMIZERS[settings.optimizer](
        [group for group in made if group["params"]],
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
    )
