"""`allyouneed lab`: the claims of the family, rerun by anyone."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Rerun what the papers claim.")


@app.command("list")
def list_() -> None:
    """Every claim with its source and what a full run costs."""
    from rich.console import Console

    from allyouneed.lab.claims import CLAIMS
    from allyouneed.lab.run import overview

    Console().print(overview(list(CLAIMS.values())))


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="A claim, as `allyouneed lab list` names it.")],
    quick: Annotated[bool, typer.Option("--quick", help="Under two minutes: shows that the experiment works.")] = False,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="How many seeds; more seeds, surer words.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the figures; runs/lab/NAME without it.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Text of your own, where the claim takes some.")] = None,
) -> None:
    """Run a claim's experiment: the paper's table beside ours, a picture, and a verdict. Measured seeds are kept."""
    from allyouneed.lab.claims import claim_named
    from allyouneed.lab.run import run_claim, show

    claim = claim_named(name)
    folder = out or Path("runs/lab") / name
    run_claim(claim, folder, quick, seeds, data)
    show(claim, folder)


@app.command()
def report(
    runs: Annotated[Path, typer.Option("--runs", help="The folder that holds the claims' folders.")] = Path("runs/lab"),
    output: Annotated[Path, typer.Option("--output", help="The Markdown page to write.")] = Path("docs/claims.md"),
) -> None:
    """Write a page of all claims that have been run in full, with their pictures."""
    from allyouneed.lab.report import write_report

    for line in write_report(runs, output):
        print(line)
