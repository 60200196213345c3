"""`make demo`: train on the embedded grammar, translate what was held out, score it, and write a report."""

import json
import os
import shutil
from pathlib import Path

from rich.console import Console
from rich.table import Table

from allyouneed.errors import UserError
from allyouneed.recipes.explore import SENTENCES
from allyouneed.recipes.runs import load
from allyouneed.recipes.train import train
from allyouneed.recipes.translation import read_split_of
from allyouneed.settings import parse_duration
from allyouneed.tasks.metrics import full_scores
from allyouneed.tracing.report import EXPLORER, Example, write_report
from allyouneed.training.cores import free_cores

SHOWN = 8


def run_demo(out: Path, max_time: str = "3m", assignments: list[str] | None = None) -> None:
    """Trains for `max_time`, then shows and scores held-out translations; everything is in `out`."""
    minutes = parse_duration(max_time) / 60
    _clear(out)
    console = Console()
    console.print("A Transformer learns to translate from an embedded grammar (it is a grammar, not real language).")
    words = [f"training.max_minutes={minutes}", *_threads(console), *(assignments or [])]
    train("translation", out, recipe="demo", assignments=words)
    run = load(out)
    text = read_split_of(run.settings.data, "test")
    translations = run.translate(text.source)
    scores = full_scores(translations, text.target)
    (out / "metrics.json").write_text(json.dumps(scores, indent=1))
    examples = [Example(*row) for row in zip(text.source, text.target, translations, strict=True)]
    _show(console, examples[:SHOWN], scores)
    report = write_report(run, scores, examples[:40])
    console.print(
        f"\nThe report, with learning curves and attention maps: [bold]{report}[/bold]  (open it in a browser)\n"
        f"The translator at work, every head and the search step by step: [bold]{out / EXPLORER}[/bold]"
    )
    console.print(_next(run.settings.data.pair, out), soft_wrap=True)


def _threads(console: Console) -> list[str]:
    """As many threads as cores are free, so that a busy machine slows the demo down and does not choke it."""
    free, every = free_cores(), os.cpu_count() or 1
    if free is None or free >= every:
        return []
    console.print(f"Other programs keep this machine busy: training on {free} of its {every} cores.")
    return [f"training.threads={free}"]


def _clear(out: Path) -> None:
    """Removes an older demo, and nothing that is not one."""
    if not out.exists():
        return
    if any(out.iterdir()) and not (out / "config.yaml").exists():
        raise UserError(f"{out} is not an older demo (it has no config.yaml); choose another --out")
    shutil.rmtree(out)


def _show(console: Console, examples: list[Example], scores: dict[str, float]) -> None:
    table = Table("source", "translation", "reference", title="Held-out sentences", title_justify="left")
    for example in examples:
        table.add_row(*(example.source, example.translation, example.reference))
    console.print(table)
    console.print(
        f"{scores['exact_match']:.1%} of {scores['sentences']:,} held-out sentences equal their reference; "
        f"BLEU {scores['bleu']:.1f} (95 % {scores['bleu_low']:.1f} to {scores['bleu_high']:.1f})"
    )


def _next(pair: str, out: Path) -> str:
    return (
        "\nTry next:\n"
        f'  echo "{SENTENCES[pair[:2]]}" | .venv/bin/allyouneed translate {out}\n'
        f"  .venv/bin/allyouneed explore {out}   # type sentences and watch\n"
        "  .venv/bin/allyouneed train translation --data DIR --src de --tgt en --out runs/mine   # your own text"
    )
