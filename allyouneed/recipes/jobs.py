"""All kinds of training, by the names that follow `allyouneed train`."""

from allyouneed.errors import UserError
from allyouneed.recipes import (
    algorithm,
    image_classification,
    image_conclude,
    image_run,
    image_use,
    language_model,
    masked_lm,
    question_answering,
    tagging,
    text_classification,
    translation,
)
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
    "masked-lm": Job(
        masked_lm.KIND,
        masked_lm.prepare,
        masked_lm.conclude,
        masked_lm.MaskedLMRun,
        masked_lm.evaluate,
        begin=masked_lm.begin,
    ),
    "text-classification": Job(
        text_classification.KIND,
        text_classification.prepare,
        text_classification.conclude,
        text_classification.TextClassificationRun,
        text_classification.evaluate,
        begin=text_classification.begin,
        predict=text_classification.predict,
    ),
    "tagging": Job(
        tagging.KIND,
        tagging.prepare,
        tagging.conclude,
        tagging.TaggingRun,
        tagging.evaluate,
        begin=tagging.begin,
        predict=tagging.predict,
    ),
    "question-answering": Job(
        question_answering.KIND,
        question_answering.prepare,
        question_answering.conclude,
        question_answering.QuestionRun,
        question_answering.evaluate,
        begin=question_answering.begin,
        predict=question_answering.predict,
    ),
    "image-classification": Job(
        image_classification.KIND,
        image_classification.prepare,
        image_conclude.conclude,
        image_run.ImageRun,
        image_use.evaluate,
        image_classification.complete,
        predict=image_use.predict_files,
    ),
    "algorithm": Job(algorithm.KIND, algorithm.prepare, algorithm.conclude, algorithm.AlgorithmRun, algorithm.evaluate),
}


def job_named(task: str) -> Job:
    if task not in JOBS:
        raise UserError(f"there is no kind of training called {task!r}; there are {', '.join(JOBS)}")
    return JOBS[task]
