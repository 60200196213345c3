"""Finished runs, opened for use: `allyouneed.load("runs/x")`."""

from pathlib import Path
from typing import Any

from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.jobs import job_named


def load(folder: str | Path, device: str | None = None) -> Any:
    """Opens a run folder for use, on a GPU where there is one or on the device that is named (`cpu`, `cuda:1`).

    What comes back depends on what the run was trained for: a translator has `translate`, a language model `generate`.
    """
    path = Path(folder)
    if not path.is_dir():
        raise UserError(f"there is no run folder {path}; give the folder that training wrote")
    return job_named(run_folder.stored_task(path)).open(path, device)
