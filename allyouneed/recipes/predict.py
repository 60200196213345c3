"""`allyouneed predict`: a run's answers to what it was trained for."""

import json
from collections.abc import Sequence
from pathlib import Path

from allyouneed.errors import UserError
from allyouneed.recipes.runs import load
from allyouneed.recipes.text_classification import TextClassificationRun
from allyouneed.recipes.use import read_input


def predict_lines(folder: Path, inputs: Sequence[str], top_k: int, as_json: bool) -> list[str]:
    """A line of answer for each line of text; a tab parts the two texts of a pair."""
    run = load(folder)
    if not isinstance(run, TextClassificationRun):
        raise UserError(f"{folder} is no classifier; it was trained for {run.settings.task}")
    lines = [line for name in inputs or ["-"] for line in read_input(name)]
    pairs = [line.split("\t", 1) for line in lines]
    paired = bool(run.settings.data.pair) or all(len(pair) == 2 for pair in pairs)
    second = [pair[1] if len(pair) > 1 else "" for pair in pairs] if paired and lines else []
    found = run.predict([pair[0] for pair in pairs] if second else lines, second)
    return [_line(answer, top_k, as_json) for answer in found]


def _line(answer: dict[str, float], top_k: int, as_json: bool) -> str:
    best = dict(list(answer.items())[:top_k])
    if as_json:
        return json.dumps(best, ensure_ascii=False)
    return "\t".join(f"{label}\t{share:.4f}" for label, share in best.items())
