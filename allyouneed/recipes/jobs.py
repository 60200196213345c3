"""All kinds of training, by the names that follow `allyouneed train`."""

from allyouneed.errors import UserError
from allyouneed.recipes import language_model, translation
from allyouneed.recipes.conclude import conclude
from allyouneed.recipes.job import Job
from allyouneed.recipes.translation_run import TranslationRun
from allyouneed.recipes.use import evaluate_run

JOBS = {
    "translation": Job(
        translation.KIND, translation.prepare, conclude, TranslationRun, evaluate_run, translation.complete
    ),
    "language-model": Job(
        language_model.KIND,
        language_model.prepare,
        language_model.conclude,
        language_model.LanguageModelRun,
        language_model.evaluate,
    ),
}


def job_named(task: str) -> Job:
    if task not in JOBS:
        raise UserError(f"there is no kind of training called {task!r}; there are {', '.join(JOBS)}")
    return JOBS[task]
