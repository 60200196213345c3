"""One training run, from the command's words to the finished run folder."""

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from allyouneed.data.download import fetch_recipe_data
from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes import translation
from allyouneed.recipes.conclude import conclude
from allyouneed.settings import override
from allyouneed.training import distributed
from allyouneed.training.checkpoint import Checkpoint, latest
from allyouneed.training.engine import Engine, Position
from allyouneed.training.memory import keep_freed_memory
from allyouneed.training.progress import Bar, Reporter, Silent

DOWNLOADED = {"multi30k": ["data.src=de", "data.tgt=en"]}  # recipes whose data can be fetched, and its languages


def train_translation(
    out: Path,
    system: str | None = None,
    preset: str | None = None,
    recipe: str = "default",
    assignments: Sequence[str] = (),
    resume: bool = False,
    reporter: Reporter | None = None,
) -> Position:
    """Trains a translator into the folder `out`, or goes on with the run that is there."""
    keep_freed_memory()
    world = distributed.join()
    reporter = reporter or (Bar("training") if world.first else Silent())
    fresh = not out.exists()
    try:
        settings, checkpoint = _open(out, system, preset, recipe, assignments, resume, reporter, world)
        if settings.training.threads:
            torch.set_num_threads(settings.training.threads)
        if world.first:
            prepared = translation.prepare(settings, out, resume)
        world.wait()
        if not world.first:
            prepared = translation.prepare(settings, out, True)
        if world.first and resume:
            run_folder.save_settings(settings, out)  # a limit may have been raised
        for note in prepared.notes:
            reporter.say(note)
        return _run(prepared, out, checkpoint, reporter)
    except UserError:
        if fresh and world.first:
            with suppress(OSError):
                out.rmdir()  # made for this run, and nothing is in it yet
        raise
    finally:
        reporter.close()
        distributed.leave()


def _open(
    out: Path, system: str | None, preset: str | None, recipe: str, assignments: Sequence[str], resume: bool,
    reporter: Reporter, world: distributed.World,
) -> tuple[Any, Checkpoint | None]:  # fmt: skip
    if resume:
        return _reopen(out, system, preset, recipe, assignments, reporter)
    if world.first and any((out / name).exists() for name in ("config.yaml", "checkpoints", "model.safetensors")):
        raise UserError(f"{out} already holds a run; add --resume to go on with it, or choose another --out")
    settings = translation.make_settings(system or "transformer", preset, recipe, assignments)
    if not world.first:
        world.wait()  # until the first rank has fetched what is not there
    settings = _with_data(settings, recipe)
    settings = _with_limit(settings)
    if world.first:
        world.wait()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the run folder {out} cannot be made ({error.strerror}); choose another --out") from None
    return settings, None


def _reopen(
    out: Path, system: str | None, preset: str | None, recipe: str, assignments: Sequence[str], reporter: Reporter
) -> tuple[Any, Checkpoint | None]:
    old = run_folder.stored_settings(out)
    new = translation.changed_settings(old, system, preset, recipe, assignments)
    translation.check_resumable(old, new)
    checkpoint, warnings = latest(out / "checkpoints")
    for warning in warnings:
        reporter.say(f"warning: {warning}")
    if checkpoint is None:
        reporter.say(f"{out} has no checkpoint yet; training begins at step 0")
    else:
        reporter.say(f"resuming {out} at step {checkpoint.step:,}")
    return new, checkpoint


def _with_data(settings: Any, recipe: str) -> Any:
    """A recipe for a public data set fetches it where no data is given."""
    if recipe not in DOWNLOADED or settings.data.path is not None:
        return settings
    folder = fetch_recipe_data(recipe, Path("data") / recipe)
    return override(settings, [*DOWNLOADED[recipe], f"data.path={folder}"])


def _with_limit(settings: Any) -> Any:
    """A run without any limit ends when the dev score no longer grows."""
    t = settings.training
    if t.max_steps or t.max_epochs or t.max_minutes:
        return settings
    return override(settings, ["training.max_epochs=30"] + ([] if t.patience else ["training.patience=8"]))


def _run(prepared: translation.Prepared, out: Path, checkpoint: Checkpoint | None, reporter: Reporter) -> Position:
    settings = prepared.settings
    torch.manual_seed(settings.training.seed)
    model = translation.build(settings)
    count = sum(parameter.numel() for parameter in model.parameters())
    reporter.say(f"{settings.system}: {count:,} parameters; {out}/metrics.jsonl holds all figures")
    engine = Engine(model, prepared.task, settings.training, out, reporter, settings.model.dim)
    position = engine.run(checkpoint)
    if engine.interrupted:
        reporter.say(f"stopped at step {position.step:,}, all saved; to go on: {resume_command(out)}")
    elif engine.world.first:
        for line in conclude(out, prepared.task.val):
            reporter.say(line)
    return position


def resume_command(out: Path) -> str:
    return f"allyouneed train translation --out {shlex.quote(os.fspath(out))} --resume"
