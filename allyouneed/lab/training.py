"""Training inside an experiment: the engine that trains every run of the house, in a folder that is thrown away."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from torch import nn

from allyouneed.tasks.task import Task
from allyouneed.training.checkpoint import load_tensors
from allyouneed.training.engine import Engine
from allyouneed.training.progress import Silent
from allyouneed.training.settings import TrainingSettings
from allyouneed.training.state import load_model_tensors

Model = TypeVar("Model", bound=nn.Module)


class _Ticking(Silent):
    def __init__(self, tick: Callable[[float], None]):
        self.tick = tick

    def progress(self, fraction: float, seconds_left: float | None, figures: dict[str, float]) -> None:
        self.tick(fraction)


def train(model: Model, task: Task, settings: TrainingSettings, tick: Callable[[float], None], dim: int) -> Model:
    """Trains to the limit of the settings; the weights are those that the run would keep: at its end, averaged or not."""
    settings = settings.model_copy(update={"validate_every": 10**9, "save_every": 10**9, "keep_checkpoints": 1})
    with tempfile.TemporaryDirectory() as folder:
        Engine(model, task, settings, Path(folder), _Ticking(tick), dim).run()
        load_model_tensors(model, load_tensors(Path(folder) / "model.safetensors"))
    return model.eval()


def part(tick: Callable[[float], None], index: int, count: int) -> Callable[[float], None]:
    """The progress of one of several parts as progress of the whole."""
    return lambda share: tick((index + share) / count)
