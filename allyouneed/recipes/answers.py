"""How `allyouneed predict` reads texts and writes answers."""

import json
import sys
from collections.abc import Mapping, Sequence

from allyouneed.recipes.use import read_input


def input_lines(inputs: Sequence[str]) -> list[str]:
    """The lines of files, one after the other; without any, of standard input."""
    return [line for name in inputs or ["-"] for line in read_input(name)]


def best_of(answer: Mapping[str, float], top_k: int, as_json: bool) -> str:
    """A line with the first labels and their probabilities."""
    best = dict(list(answer.items())[:top_k])
    if as_json:
        return json.dumps(best, ensure_ascii=False)
    return "\t".join(f"{label}\t{share:.4f}" for label, share in best.items())


def warn_of_cut(lines: Sequence[int], limit: int) -> None:
    """Says on standard error which lines (from 1) were longer than the model reads."""
    if lines:
        shown = ", ".join([*map(str, lines[:5]), *(["..."] if len(lines) > 5 else [])])
        print(f"warning: texts of more than {limit:,} pieces were cut at their end: lines {shown}", file=sys.stderr)
