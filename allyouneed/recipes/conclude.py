"""What a finished run leaves for a person: the report, the learning curve and the commands to try next."""

import shlex
from pathlib import Path
from typing import Any

from allyouneed.data.parallel import ParallelText
from allyouneed.recipes.runs import load
from allyouneed.tracing.report import Example, picture_of_learning, write_report
from allyouneed.training.log import read_metrics

SHOWN = 40  # example translations in a report


def conclude(out: Path, val: ParallelText) -> list[str]:
    """Writes `report.html` and `learning_curve.svg` from the run's best weights; returns what to say."""
    picture_of_learning(out)
    run = load(out)
    lines = val.source[:SHOWN]
    found = run.translator.translate(lines, run.decoding())  # what is too long is cut here, as in validation
    examples = [Example(*row) for row in zip(lines, val.target[:SHOWN], found, strict=True)]
    path = write_report(run, best_dev_scores(out), examples)
    folder = shlex.quote(str(out))
    return [
        f"report: {path}",
        f"translate: allyouneed translate {folder} FILE",
        f"score:     allyouneed evaluate {folder} --split test",
    ]


def best_dev_scores(out: Path) -> dict[str, Any]:
    """The dev figures of the weights that the run kept."""
    validations = [line for line in read_metrics(out) if line["kind"] == "dev"]
    best = max(validations, key=lambda line: line["bleu"], default={})
    return {key: best[key] for key in ("bleu", "chrf", "exact_match") if key in best}
