"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

Run = Annotated[Path, typer.Argument(help="A run folder, as training wrote it.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", help="Folder with train.SRC train.TGT val.SRC ..., or one TSV, CSV or JSONL file."),
]
Source = Annotated[
    str | None, typer.Option("--src", help="Source language: a file suffix, or a column's name or number.")
]
Target = Annotated[
    str | None, typer.Option("--tgt", help="Target language: a file suffix, or a column's name or number.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Beam = Annotated[int | None, typer.Option("--beam", min=1, help="Hypotheses kept; 1 is greedy search.")]
Penalty = Annotated[float | None, typer.Option("--length-penalty", help="Alpha of the length penalty.")]


Out = Annotated[Path, typer.Option("--out", help="The run folder to write.")]
Preset = Annotated[str | None, typer.Option("--preset", help="The model's numbers by name: small, paper-base, ...")]
Set = Annotated[list[str] | None, typer.Option("--set", help="A setting, key=value; may be repeated.")]
MaxTime = Annotated[str | None, typer.Option("--max-time", help="Stop after 90s, 40m, 1h30m.")]
MaxSteps = Annotated[int | None, typer.Option("--max-steps", min=1, help="Stop after so many updates.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of weights, batches and dropout.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, exactly.")]
Recipe = Annotated[str, typer.Option("--recipe", help="Ready settings by name; default is none of them.")]


def settings_help(task: str) -> type[TyperCommand]:
    """A command whose help ends with every setting of the task that `--set` takes."""

    class SettingsHelp(TyperCommand):
        def format_help(self, ctx: Any, formatter: Any) -> None:
            from allyouneed.recipes.explain import print_settings

            super().format_help(ctx, formatter)
            print_settings(task)

    return SettingsHelp
