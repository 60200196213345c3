"""`allyouneed predict`: a run's answers to what it was trained for."""

from collections.abc import Sequence
from pathlib import Path

from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.jobs import JOBS, job_named
from allyouneed.recipes.runs import load


def predict_lines(folder: Path, inputs: Sequence[str], top_k: int, as_json: bool) -> list[str]:
    """Lines of answers; what the inputs are (texts, questions, images) is the task's to say."""
    run = load(folder)
    task = run_folder.stored_task(folder)
    predict = job_named(task).predict
    if predict is None:
        able = ", ".join(name for name, job in JOBS.items() if job.predict)
        raise UserError(f"{folder} is a run of {task}, which predicts no labels; runs that do: {able}")
    return predict(run, inputs, top_k, as_json)
