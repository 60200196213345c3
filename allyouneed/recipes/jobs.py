"""All kinds of training, by the names that follow `allyouneed train`."""

from allyouneed.errors import UserError
from allyouneed.recipes import translation
from allyouneed.recipes.conclude import conclude
from allyouneed.recipes.job import Job
from allyouneed.recipes.translation_run import TranslationRun

JOBS = {
    "translation": Job(translation.KIND, translation.prepare, conclude, TranslationRun, translation.complete),
}


def job_named(task: str) -> Job:
    if task not in JOBS:
        raise UserError(f"there is no kind of training called {task!r}; there are {', '.join(JOBS)}")
    return JOBS[task]
