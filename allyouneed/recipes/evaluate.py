"""Scoring a run of any kind on held-out data."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.jobs import job_named


def evaluate_any(folder: Path, data: Path | None, split: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The scores that belong to what the run was trained for. An option that its task does not have is refused."""
    if not folder.is_dir():
        raise UserError(f"there is no run folder {folder}; give the folder that training wrote")
    task = run_folder.stored_task(folder)
    score = job_named(task).evaluate
    takes = inspect.signature(score).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values())
    foreign = [name for name in options if name not in takes and not open_ended]
    if foreign:
        raise UserError(f"--{foreign[0].replace('_', '-')} means nothing to a run of {task}; leave it out")
    return score(folder, data, split, **options)
