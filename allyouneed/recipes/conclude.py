"""What a finished run leaves for a person: the report, the learning curve and the commands to try next."""

import shlex
from pathlib import Path
from typing import Any

from allyouneed.data.parallel import ParallelText
from allyouneed.recipes.folder import save_settings
from allyouneed.recipes.translation_run import TranslationRun
from allyouneed.records import read_metrics
from allyouneed.settings import override
from allyouneed.tasks.metrics import corpus_scores
from allyouneed.tasks.translation import TranslationTask
from allyouneed.tracing.report import Example, picture_of_learning, write_report

SHOWN = 40  # example translations in a report
JUDGED = 1000  # dev sentences that choose the length penalty
ALPHAS = (0.6, 1.0, 1.4, 1.8, 2.2)


def conclude(out: Path, task: TranslationTask) -> list[str]:
    """Writes `report.html` and `learning_curve.svg` from the run's best weights; returns what to say."""
    picture_of_learning(out)
    run, val = TranslationRun(out), task.val
    said = fit_length_penalty(run, val)
    lines = val.source[:SHOWN]
    found = run.translator.translate(lines, run.decoding())  # what is too long is cut here, as in validation
    examples = [Example(*row) for row in zip(lines, val.target[:SHOWN], found, strict=True)]
    path = write_report(run, best_dev_scores(out), examples)
    folder = shlex.quote(str(out))
    return [
        *said,
        f"report: {path}",
        f"translate: allyouneed translate {folder} FILE",
        f"score:     allyouneed evaluate {folder} --split test",
    ]


def fit_length_penalty(run: TranslationRun, val: ParallelText) -> list[str]:
    """Chooses the length penalty's alpha on the dev set, from small to large until BLEU falls, and stores it.

    The paper chose its 0.6 so as well (section 6.1). Greedy search has no use for it, and a given one stays.
    """
    decoding = run.settings.decoding
    if not decoding.fit_length_penalty or decoding.beam == 1 or decoding.penalty == "none":
        return []
    lines, references = val.source[:JUDGED], val.target[:JUDGED]
    scores: dict[float, float] = {}
    for alpha in ALPHAS:
        found = run.translator.translate(lines, run.decoding(length_penalty=alpha))
        scores[alpha] = corpus_scores(found, references)["bleu"]
        if scores[alpha] < max(scores.values()):
            break
    best = max(scores, key=lambda alpha: scores[alpha])
    run.settings = override(run.settings, [f"decoding.length_penalty={best}"])
    save_settings(run.settings, run.folder)
    shown = ", ".join(f"{alpha}: {score:.2f}" for alpha, score in scores.items())
    return [f"length penalty {best} by dev BLEU with beam {decoding.beam} ({shown})"]


def best_dev_scores(out: Path) -> dict[str, Any]:
    """The dev figures of the weights that the run kept."""
    validations = [line for line in read_metrics(out) if line["kind"] == "dev"]
    best = max(validations, key=lambda line: line["bleu"], default={})
    return {key: best[key] for key in ("bleu", "chrf", "exact_match") if key in best}
