"""Optimisers built from settings."""

from collections.abc import Sequence
from typing import Any

import torch

from allyouneed.tasks.task import Group
from allyouneed.training.settings import TrainingSettings

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}


def make_optimizer(groups: Sequence[Group], settings: TrainingSettings) -> torch.optim.Optimizer:
    """Adam or AdamW with weight decay on matrices alone: norms and biases have nothing to shrink.

    Each group of the optimiser carries its share of the learning rate as `rate`.
    """
    made: list[dict[str, Any]] = []
    for parameters, rate in groups:
        matrices = [p for p in parameters if p.dim() >= 2]
        vectors = [p for p in parameters if p.dim() < 2]
        made += [
            {"params": matrices, "weight_decay": settings.weight_decay, "rate": rate},
            {"params": vectors, "weight_decay": 0.0, "rate": rate},
        ]
    return OPTIMIZERS[settings.optimizer](
        [group for group in made if group["params"]],
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        fused=True,
    )
