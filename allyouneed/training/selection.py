"""The best weights of a run: judged on the dev set, kept in `model.safetensors`."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from allyouneed.tasks.task import Task
from allyouneed.training.checkpoint import save_tensors
from allyouneed.training.distributed import World
from allyouneed.training.log import MetricsLog
from allyouneed.training.progress import Reporter
from allyouneed.training.state import load_model_tensors


@dataclass
class Position:
    """Where a run is, and what it has seen so far."""

    step: int = 0
    epoch: int = 0
    batch: int = 0  # batches of this epoch already consumed
    seconds: float = 0.0
    best: float = float("-inf")
    best_step: int = 0
    best_is: str = ""
    worse: int = 0  # validations since the best
    validated: int = 0  # the step of the last validation
    lines: int = 0  # lines of metrics.jsonl
    ended: str = ""  # why the run is over
    finished: bool = False  # the last validation is done too


class Selection:
    """Judges weights in a plain copy of the model, however the model in training is wrapped."""

    def __init__(self, model: nn.Module, task: Task, folder: Path, world: World, reporter: Reporter):
        self.model, self.task, self.path = model, task, folder / "model.safetensors"
        self.world, self.reporter = world, reporter

    def judge(self, tensors: dict[str, Tensor], name: str, at: Position, log: MetricsLog | None) -> bool:
        """Whether these weights are the best so far, on every rank; if so they become the run's model."""
        score = self.world.from_first(self._score(tensors, name, at, log) if self.world.first else 0.0)
        better = score > at.best
        if better and self.world.first:
            save_tensors(self.path, self.model.state_dict())
        if better:
            at.best, at.best_step, at.best_is = score, at.step, name
        return better

    def _score(self, tensors: dict[str, Tensor], name: str, at: Position, log: MetricsLog | None) -> float:
        load_model_tensors(self.model, tensors)
        metrics = self.task.validate(self.model, quick=True)
        if log:
            log.write(at.step, "dev", {**metrics, "weights": name, "seconds": at.seconds})
        shown = "  ".join(f"{key} {value:.4g}" for key, value in metrics.items())
        self.reporter.say(f"step {at.step:,}  epoch {at.epoch}  dev: {shown}")
        return metrics[self.task.metric]

    def keep(self, tensors: dict[str, Tensor]) -> None:
        """Makes these weights the run's model unjudged."""
        if self.world.first:
            load_model_tensors(self.model, tensors)
            save_tensors(self.path, self.model.state_dict())
