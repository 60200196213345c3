"""Memory of each rank: one process, DDP and FSDP2 on the same model, `python -m benchmarks.ranks [--preset paper-base]`.

Each form trains three steps on made-up batches, validates and writes a checkpoint, as a run does; torchrun starts the
ranks on this machine. Batches are small, so that what is measured are weights, gradients, moments and averages, all of
float32. `between steps` is what a rank holds when no gradient is there; the peaks are of the steps alone, and of all
with validation and the checkpoint. All are above what the process held before it built the model.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from allyouneed.models.transformer import PRESETS, transformer
from allyouneed.nn.heads import Smoothing
from allyouneed.tasks.task import trainable
from allyouneed.tasks.translation import Batch, smoothed_loss
from allyouneed.training import distributed
from allyouneed.training.checkpoint import latest
from allyouneed.training.engine import Engine
from allyouneed.training.progress import Silent
from allyouneed.training.settings import TrainingSettings
from benchmarks.memory import forget_peak, peak, resident

VOCABULARY = 37_000
STEPS = 3


class MadeUp:
    """See `Task`: batches of random ids, and a score that is a number."""

    metric, players = "score", ("model",)

    def __init__(self, each: int):
        self.each, self.seen, self.between, self.stepping = each, 0, 0.0, 0.0

    def plan(self, epoch: int) -> list[np.ndarray]:
        return [np.arange(4)] * (STEPS * self.each)

    def weight(self, batch: np.ndarray, epoch: int) -> int:
        return 4 * 16

    tokens = weight

    def collate(self, batch: np.ndarray, epoch: int) -> Batch:
        self.seen += 1
        if self.seen > 1:  # the moments are there from the second step on; the last look counts
            self.stepping, self.between = max(self.stepping, peak()), resident()
        ids = torch.randint(4, VOCABULARY, (4, 16))
        return Batch(ids, ids, ids)

    def parameters(self, model: Any, player: str) -> list[Any]:
        return trainable(model)

    def loss(self, model: Any, batch: Batch, player: str) -> Any:
        total, nll = smoothed_loss(model, batch, Smoothing.named("torch", 0.1, VOCABULARY))
        return total, {"loss": total.detach(), "nll": nll}

    def validate(self, model: Any, quick: bool = False) -> dict[str, float]:
        return {"score": 0.0}


def worker(preset: str, parallel: str, folder: Path) -> None:
    """One rank; it leaves its figures in the folder."""
    torch.set_num_threads(1)
    world = distributed.join()
    idle = resident()
    forget_peak()
    model = transformer(PRESETS[preset].model_copy(update={"vocab_size": VOCABULARY, "dropout": 0.0}))
    settings = TrainingSettings(parallel=parallel, max_steps=STEPS, save_every=STEPS, precision="float32")
    task = MadeUp(world.size)
    engine = Engine(model, task, settings, folder, Silent(), model.head.weight.shape[1])  # type: ignore[arg-type]
    del model
    built = peak()
    forget_peak()
    engine.run()
    figures = {
        "rank": world.rank, "building_mib": built - idle, "between_steps_mib": task.between - idle,
        "stepping_mib": task.stepping - idle, "whole_run_mib": peak() - idle,
        "parameters": sum(p.numel() for p in engine.model.parameters()),
    }  # fmt: skip
    (folder / f"rank-{world.rank}.json").write_text(json.dumps(figures))
    world.wait()
    distributed.leave()


def measure(preset: str, parallel: str, ranks: int, folder: Path) -> dict[str, Any]:
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
    words = ["-m", "benchmarks.ranks", "--worker", preset, parallel, str(folder)]
    done = subprocess.run([sys.executable, *launch, *words], check=False)
    if done.returncode:
        raise SystemExit(f"error: {parallel} on {ranks} ranks ended with status {done.returncode}")
    found, _ = latest(folder / "checkpoints")
    assert found is not None
    files = {path.name: path.stat().st_size / 2**20 for path in sorted(found.path.glob("*.safetensors"))}
    ranked = [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(ranks)]
    return {"parallel": parallel if ranks > 1 else "one process", "ranks": ranked, "checkpoint_mib": files}


def show(console: Console, preset: str, found: list[dict[str, Any]]) -> None:
    table = Table("form", "rank", "between steps", "peak of steps", "peak of the run", "peak of building",
                  title=f"{preset}, {found[0]['ranks'][0]['parameters']:,} parameters, MiB above idle",
                  title_justify="left")  # fmt: skip
    for form in found:
        for row in form["ranks"]:
            keys = ("between_steps_mib", "stepping_mib", "whole_run_mib", "building_mib")
            table.add_row(form["parallel"], str(row["rank"]), *(f"{row[key]:,.0f}" for key in keys))
    console.print(table)
    for form in found:
        console.print(form["parallel"], {name: f"{size:,.0f} MiB" for name, size in form["checkpoint_mib"].items()})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranks", description=__doc__)
    parser.add_argument("--preset", default="paper-base", choices=list(PRESETS))
    parser.add_argument("--ranks", type=int, default=2, help="ranks of DDP and of FSDP2 (2)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        preset, parallel, place = options.worker
        worker(preset, parallel, Path(place))
        return
    found = []
    for parallel, ranks in (("ddp", 1), ("ddp", options.ranks), ("fsdp", options.ranks)):
        with tempfile.TemporaryDirectory() as place:
            found.append(measure(options.preset, parallel, ranks, Path(place)))
    show(Console(stderr=True, width=120), options.preset, found)
    if options.json:
        print(json.dumps({"preset": options.preset, "forms": found}))


if __name__ == "__main__":
    main()
