"""The training loop: thin, on plain torch, exact to the bit when resumed.

A step is an update of the weights from `accumulate` batches on each rank. Batches are a pure function of (seed, epoch)
and dropout of (seed, step, rank), so the state of a run is: weights, optimisers, average, and where it is.
"""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from allyouneed.tasks.task import Task
from allyouneed.training import distributed, state
from allyouneed.training.averaging import ExponentialAverage, average_files
from allyouneed.training.checkpoint import Checkpoint, save
from allyouneed.training.log import MetricsLog
from allyouneed.training.memory import TRIM_EVERY, give_back_freed_memory
from allyouneed.training.meter import Meter
from allyouneed.training.optim import make_optimizer
from allyouneed.training.packing import pack, unpack
from allyouneed.training.precision import autocast
from allyouneed.training.progress import Reporter
from allyouneed.training.schedules import learning_rate
from allyouneed.training.selection import Position, Selection
from allyouneed.training.settings import TrainingSettings


class Losses(nn.Module):
    """The task's loss as a forward pass, so that DDP and FSDP see it."""

    def __init__(self, model: nn.Module, task: Task):
        super().__init__()
        self.model = model
        self.task = task

    def forward(self, batch: Any, player: str) -> tuple[Tensor, dict[str, Tensor]]:
        return self.task.loss(self.model, batch, player)


class Engine:
    """Trains `model` on `task` in the run folder `folder`."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        settings: TrainingSettings,
        folder: Path,
        reporter: Reporter,
        dim: int,
    ):
        self.world = distributed.join()
        self.model, self.task, self.settings, self.folder = (
            model.to(self.world.device),
            task,
            settings,
            folder,
        )
        self.reporter, self.dim = reporter, dim
        # The first rank judges for all, so that no other needs a whole copy.
        judged = deepcopy(model) if self.world.first else nn.Module()
        self.selection = Selection(judged, task, folder, self.world, reporter)
        self.sharded = settings.parallel == "fsdp" and self.world.size > 1
        self.losses = distributed.wrap(Losses(self.model, task), self.world, settings.parallel)
        self.optimizers = {
            player: make_optimizer(task.parameters(self.model, player), settings) for player in task.players
        }
        self.average = ExponentialAverage(self.model, settings.ema_decay) if settings.ema_decay else None
        self.at = Position()
        self.interrupted = False
        self.meter = Meter()

    # ---- the loop ----------------------------------------------------------------------------------------------------

    def run(self, checkpoint: Checkpoint | None = None) -> Position:
        """Trains until a limit, the patience or Ctrl-C ends it; the best weights are in `model.safetensors`."""
        if checkpoint:
            self.restore(checkpoint)
        self.begun = time.monotonic() - self.at.seconds
        self.log = MetricsLog(self.folder, self.at.step, self.at.lines) if self.world.first else None
        if self._over() and self.at.finished:
            self.reporter.say(f"this run has ended already, after {self.at.ended}; raise that limit to go on")
        else:
            self._train()
        self.reporter.close()
        if self.log:
            self.log.close()
        return self.at

    def _train(self) -> None:
        self.at.finished = False
        with self._interruptible():
            while not self._over():
                self._epoch()
        if not self.interrupted:
            self._finish()
            self.at.finished = True
        elif self.at.best_step == 0:
            self.selection.keep(self._weights())  # so that a run stopped early can be used all the same
        self.save()

    def _epoch(self) -> None:
        settings, each = self.settings, self.settings.accumulate * self.world.size
        plan = self.task.plan(self.at.epoch)
        while self.at.batch < len(plan):
            group = plan[self.at.batch : self.at.batch + each]
            self._step(group, len(plan) / each)
            self.at.step += 1
            self.at.batch += len(group)
            self.at.seconds = self._clock()
            self._tell(len(plan) / each)
            if self.at.batch >= len(plan):
                self.at.epoch, self.at.batch = self.at.epoch + 1, 0
            ended = self.at.batch == 0
            if ended if settings.validate_every == 0 else self.at.step % settings.validate_every == 0:
                self.validate()
            if self.at.step % settings.save_every == 0:
                self.save()
            if self.at.step % TRIM_EVERY == 0:
                give_back_freed_memory()
            if self._over() or ended:
                return

    def _step(self, group: Sequence[np.ndarray], steps_per_epoch: float) -> None:
        """One update from a group of batches, shared out over the ranks; the loss is a mean over true tokens."""
        epoch, step = self.at.epoch, self.at.step
        torch.manual_seed(int(np.random.SeedSequence([self.settings.seed, step, self.world.rank]).generate_state(1)[0]))
        self.rate = learning_rate(self.settings, step + 1, self.dim, self._progress(steps_per_epoch))
        total = sum(self.task.weight(batch, epoch) for batch in group)
        mine = [group[i] for i in range(self.world.rank, len(group), self.world.size)]
        # Each rank makes the same number of passes, or the others would wait for it: who has a batch less than they
        # takes one that counts for nothing.
        idle = -(-len(group) // self.world.size) - len(mine)
        scales = [self.world.size / total] * len(mine) + [0.0] * idle
        sums: dict[str, Tensor] = {}
        self.losses.train()
        for player, optimizer in self.optimizers.items():
            self._backward([*mine, *[group[0]] * idle], scales, player, sums)
            if self.settings.clip_norm:
                parameters = [p for part in optimizer.param_groups for p in part["params"]]
                nn.utils.clip_grad_norm_(parameters, self.settings.clip_norm, foreach=True)
            for part in optimizer.param_groups:
                part["lr"] = self.rate * part["rate"]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update(self.model)
        weight = sum(self.task.weight(batch, epoch) for batch in mine)
        self.meter.add(sums, weight, sum(self.task.tokens(batch, epoch) for batch in group))

    def _backward(
        self, batches: Sequence[np.ndarray], scales: Sequence[float], player: str, sums: dict[str, Tensor]
    ) -> None:
        for i, (batch, scale) in enumerate(zip(batches, scales, strict=True)):
            tensors = self.task.collate(batch, self.at.epoch)
            tensors = type(tensors)(*(t.to(self.world.device, non_blocking=True) for t in tensors))
            with distributed.synchronised(self.losses, last=i == len(batches) - 1):
                with autocast(self.settings.precision, self.world.device):
                    loss, parts = self.losses(tensors, player)
                (loss * scale).backward()
            for name, value in parts.items():
                value = value if scale else torch.zeros_like(value)
                sums[name] = sums[name] + value if name in sums else value

    def _clock(self) -> float:
        """Seconds of training, those before a resume included; where a limit hangs on them, the same on all ranks."""
        seconds = time.monotonic() - self.begun
        return self.world.from_first(seconds) if self.settings.max_minutes else seconds

    # ---- limits ------------------------------------------------------------------------------------------------------

    def _progress(self, steps_per_epoch: float) -> float:
        """The share of the run that is done, by the limit that is nearest."""
        s, at = self.settings, self.at
        shares = [at.step / s.max_steps] if s.max_steps else []
        shares += [at.step / (s.max_epochs * steps_per_epoch)] if s.max_epochs else []
        shares += [at.seconds / (60 * s.max_minutes)] if s.max_minutes else []
        return min(1.0, max(shares, default=0.0))

    def _over(self) -> bool:
        s, at = self.settings, self.at
        limits = {
            f"{s.max_steps} steps": s.max_steps and at.step >= s.max_steps,
            f"{s.max_epochs} epochs": s.max_epochs and at.epoch >= s.max_epochs,
            f"{s.max_minutes:g} minutes" if s.max_minutes else "": s.max_minutes and at.seconds >= 60 * s.max_minutes,
            f"no better for {at.worse} validations": s.patience and at.worse >= s.patience,
        }
        at.ended = next((reason for reason, met in limits.items() if met), "")
        self.interrupted = self.world.agree(self.interrupted)
        return bool(at.ended) or self.interrupted

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the run after the step in hand, with everything saved."""

        def ask(*_: Any) -> None:
            self.interrupted = True

        try:
            old = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread: a notebook's, or a server's
            old = {}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    # ---- what is shown and kept --------------------------------------------------------------------------------------

    def _tell(self, steps_per_epoch: float) -> None:
        step = self.at.step
        if step % self.settings.log_every and step > 1:
            return
        values = {**self.meter.read(self.world), "learning_rate": self.rate, "epoch": float(self.at.epoch)}
        done = self._progress(steps_per_epoch)
        left = self.at.seconds / done - self.at.seconds if done else None
        if self.log:
            self.log.write(step, "train", {**values, "seconds": self.at.seconds})
            self.reporter.progress(done, left, {"step": step, **values})

    def validate(self) -> None:
        """Scores the averaged weights (the plain ones without an average); the best so far is the run's model."""
        begun = time.monotonic()
        name = f"{'average' if self.average else 'weights'} at step {self.at.step}"
        better = self.selection.judge(self._weights(), name, self.at, self.log)
        self.at.worse = 0 if better else self.at.worse + 1
        self.at.validated = self.at.step
        self.meter.pause(time.monotonic() - begun)

    def _weights(self) -> dict[str, Tensor]:
        """What the run would be used with now, on the first rank: the average, or the weights themselves."""
        tensors = state.model_tensors(self.model)
        if self.average:
            tensors |= state.average_state(self.average)["averages"]
        return state.gathered(state.retied(tensors, self.model), self.world)

    def _finish(self) -> None:
        """At the end, the mean of the last checkpoints competes with the best weights; `translate` uses the better."""
        if self.at.validated != self.at.step:
            self.validate()
        k, every = self.settings.average_last, self.settings.save_every
        steps = range(every, self.at.step + 1, every)[-k:] if k else range(0)
        found = [c for step in steps if (c := Checkpoint.at(self.folder / "checkpoints", step)).path.exists()]
        if len(found) > 1:
            self.selection.judge(self._mean(found), f"mean of {len(found)} checkpoints", self.at, self.log)
        best = f"best {self.task.metric} {self.at.best:.4g}: {self.at.best_is}"
        self.reporter.say(f"ended after {self.at.ended}; {best}")

    def _mean(self, checkpoints: Sequence[Checkpoint]) -> dict[str, Tensor]:
        if not self.world.first:
            return {}
        means = average_files([c.path for c in checkpoints], lambda path: Checkpoint(0, path).model())
        return state.retied(means, self.selection.model)

    def save(self) -> None:
        """A checkpoint; a crash at any moment leaves the one before it."""
        self.at.lines = self.log.lines if self.log else 0
        tree = {
            "optimizers": {p: state.optimizer_state(o, self.model) for p, o in self.optimizers.items()},
            "average": state.average_state(self.average),
            "meter": self.meter.state(self.world),
            "position": asdict(self.at),
        }
        keep, every = self.settings.keep_checkpoints, self.settings.save_every
        writers = self.world if self.sharded else distributed.ALONE
        if self.sharded or self.world.first:
            tensors = state.model_tensors(self.model)
            save(self.folder / "checkpoints", self.at.step, tensors, *pack(tree), keep, every, writers)
        self.world.wait()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on from there; a rank of a sharded model reads its own rows alone."""
        state.load_model_tensors(self.model, checkpoint.stored_model())
        tree = unpack(*checkpoint.stored_state())
        for player, optimizer in self.optimizers.items():
            state.load_optimizer_state(optimizer, self.model, tree["optimizers"][player])
        state.load_average_state(self.average, self.model, tree["average"])
        self.at = Position(**tree["position"])
        self.meter.load_state(tree["meter"], self.world)
