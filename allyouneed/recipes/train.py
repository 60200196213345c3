"""One training run, from the command's words to the finished run folder."""

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.job import Job, Kind, Prepared, build, changed_settings, check_resumable, make_settings
from allyouneed.recipes.jobs import job_named
from allyouneed.settings import override
from allyouneed.training import distributed
from allyouneed.training.checkpoint import Checkpoint, latest
from allyouneed.training.engine import Engine, Position
from allyouneed.training.memory import keep_freed_memory
from allyouneed.training.progress import Bar, Reporter, Silent


def train(
    task: str,
    out: Path,
    system: str | None = None,
    preset: str | None = None,
    recipe: str = "default",
    assignments: Sequence[str] = (),
    resume: bool = False,
    reporter: Reporter | None = None,
) -> Position:
    """Trains for a task, such as `translation`, into the folder `out`, or goes on with the run that is there."""
    keep_freed_memory()
    world = distributed.join()
    reporter = reporter or (Bar("training") if world.first else Silent())
    fresh, job = not out.exists(), job_named(task)
    try:
        settings, checkpoint = _open(job, out, system, preset, recipe, assignments, resume, reporter, world)
        if settings.training.threads:
            torch.set_num_threads(settings.training.threads)
        if world.first:
            prepared = job.prepare(settings, out, resume)
        world.wait()
        if not world.first:
            prepared = job.prepare(settings, out, True)
        if world.first and resume:
            run_folder.save_settings(settings, out)  # a limit may have been raised
        for note in prepared.notes:
            reporter.say(note)
        position = _run(job, prepared, out, checkpoint, reporter)
        world.wait()  # a rank that leaves while the first still writes may take its threads down with it
        return position
    except UserError:
        if fresh and world.first:
            with suppress(OSError):
                out.rmdir()  # made for this run, and nothing is in it yet
        raise
    finally:
        reporter.close()
        distributed.leave()


def _open(
    job: Job, out: Path, system: str | None, preset: str | None, recipe: str, assignments: Sequence[str], resume: bool,
    reporter: Reporter, world: distributed.World,
) -> tuple[Any, Checkpoint | None]:  # fmt: skip
    if resume:
        return _reopen(job.kind, out, system, preset, recipe, assignments, reporter)
    if world.first and any((out / name).exists() for name in ("config.yaml", "checkpoints", "model.safetensors")):
        raise UserError(f"{out} already holds a run; add --resume to go on with it, or choose another --out")
    settings = make_settings(job.kind, system or job.kind.system, preset, recipe, assignments)
    if not world.first:
        world.wait()  # until the first rank has fetched what is not there
    settings = _with_limit(job.kind, job.complete(settings, recipe))
    if world.first:
        world.wait()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the run folder {out} cannot be made ({error.strerror}); choose another --out") from None
    return settings, None


def _reopen(
    kind: Kind, out: Path, system: str | None, preset: str | None, recipe: str, assignments: Sequence[str],
    reporter: Reporter,
) -> tuple[Any, Checkpoint | None]:  # fmt: skip
    old = run_folder.stored_settings(out, kind)
    new = changed_settings(kind, old, system, preset, recipe, assignments)
    check_resumable(old, new)
    checkpoint, warnings = latest(out / "checkpoints")
    for warning in warnings:
        reporter.say(f"warning: {warning}")
    if checkpoint is None:
        reporter.say(f"{out} has no checkpoint yet; training begins at step 0")
    else:
        reporter.say(f"resuming {out} at step {checkpoint.step:,}")
    return new, checkpoint


def _with_limit(kind: Kind, settings: Any) -> Any:
    """A run without any limit ends when the dev score no longer grows."""
    t = settings.training
    if t.max_steps or t.max_epochs or t.max_minutes:
        return settings
    given = ["training.patience"] if t.patience else []
    return override(settings, [word for word in kind.unlimited if word.split("=")[0] not in given])


def _run(job: Job, prepared: Prepared, out: Path, checkpoint: Checkpoint | None, reporter: Reporter) -> Position:
    settings = prepared.settings
    torch.manual_seed(settings.training.seed)
    model = build(job.kind, settings)
    if checkpoint is None:
        for note in job.begin(model, settings):
            reporter.say(note)
    count = sum(parameter.numel() for parameter in model.parameters())
    reporter.say(f"{settings.system}: {count:,} parameters; {out}/metrics.jsonl holds all figures")
    engine = Engine(model, prepared.task, settings.training, out, reporter, settings.model.dim)
    position = engine.run(checkpoint)
    if engine.interrupted:
        reporter.say(f"stopped at step {position.step:,}, all saved; to go on: {resume_command(job.kind.task, out)}")
    elif engine.world.first:
        for line in job.conclude(out, prepared.task):
            reporter.say(line)
    return position


def resume_command(task: str, out: Path) -> str:
    return f"allyouneed train {task} --out {shlex.quote(os.fspath(out))} --resume"
