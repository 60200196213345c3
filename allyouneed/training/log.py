"""The record of a run: `metrics.jsonl`, one JSON object a line, and TensorBoard's event files beside it."""

import json
from pathlib import Path
from typing import Any

from allyouneed.records import read_metrics
from allyouneed.training.checkpoint import write_text


class MetricsLog:
    """Appends to `metrics.jsonl`. On resuming, what was written after the checkpoint is dropped: it is made again."""

    def __init__(self, folder: Path, step: int = 0, lines: int = 0, tensorboard: bool = True):
        self.path = folder / "metrics.jsonl"
        kept = read_metrics(folder)[:lines]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self.file, self.lines = self.path.open("a"), len(kept)
        self.board = _board(folder / "tensorboard", step) if tensorboard else None

    def write(self, step: int, kind: str, values: dict[str, Any]) -> None:
        self.file.write(json.dumps({"step": step, "kind": kind, **values}) + "\n")
        self.file.flush()
        self.lines += 1
        if self.board:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self.board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        self.file.close()
        if self.board:
            self.board.close()


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
