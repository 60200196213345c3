"""Fine-tuning gently: lower layers learn more slowly, or not at all."""

import re

from pydantic import Field
from torch import nn

from allyouneed.settings import Settings


class TuningSettings(Settings):
    """How far the layers of a pre-trained body may move."""

    layer_decay: float = Field(
        1.0, gt=0, le=1, description="Each layer below the head learns at so much of the rate of the one above it."
    )
    freeze: int = Field(0, ge=0, description="So many layers from below, with the tables, do not learn at all.")


def height(name: str) -> int | None:
    """0 for tables, then 1, 2, ... by sublayer from below; None for what lies above the body."""
    if not name.startswith("body.") or name.startswith("body.pooler"):
        return None
    found = re.match(r"body\.encoder\.\D*(\d+)", name)
    return int(found.group(1)) + 1 if found else 0


def rates(model: nn.Module, tuning: TuningSettings) -> dict[str, float]:
    """How much of the learning rate each parameter takes, by name; two sublayers are a layer."""
    heights = {name: height(name) for name, _ in model.named_parameters()}
    top = max((h for h in heights.values() if h is not None), default=0)
    layers = {name: (top + 1) // 2 + 1 if h is None else (h + 1) // 2 for name, h in heights.items()}
    head = max(layers.values(), default=0)
    return {
        name: 0.0 if tuning.freeze and layer <= tuning.freeze and heights[name] is not None
        else tuning.layer_decay ** (head - layer)
        for name, layer in layers.items()
    }  # fmt: skip
