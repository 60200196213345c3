"""The command line: thin, it calls the rooms. Torch is imported inside commands only, so `--help` answers at once."""

import errno
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from allyouneed.commands import lab, look, train, use
from allyouneed.commands.options import Json, Set, Source, Target
from allyouneed.errors import UserError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False,
    help="The Transformer and its family: train, translate, compare, look inside.",
)  # fmt: skip
data_app = typer.Typer(no_args_is_help=True, help="Look at data before training.")
app.add_typer(train.app, name="train")
app.add_typer(data_app, name="data")
app.add_typer(lab.app, name="lab")
app.command()(use.translate)
app.command()(use.evaluate)
app.command()(use.generate)
app.command()(use.predict)
app.command("fill-mask")(use.fill_mask)
app.command(cls=use.ServingHelp)(use.serve)
app.command()(look.explore)
app.command()(look.picture)
app.command("export")(use.export_)
app.command("import")(use.import_)


def main() -> None:
    """Runs a command; what a user can put right is one sentence and exit code 2."""
    try:
        sys.exit(app(standalone_mode=False))
    except BrokenPipeError:  # the reader went away, as `| head` does
        sys.stderr.close()
        sys.exit(141)
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        if sentence:
            print(f"error: {' '.join(sentence.split())}", file=sys.stderr)
        sys.exit(2)


def _sentence(error: Exception) -> str | None:
    """What to tell the user of an error that is the user's to put right; None for a fault of ours."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk{f' of {error.filename}' if error.filename else ''}; make room and try again"
    if type(error).__name__ == "NoArgsIsHelpError":  # `allyouneed` alone: the help has been shown and says it all
        return ""
    if hasattr(error, "format_message"):  # the command line's own: an unknown option, a word for a number
        return f"{error.format_message()} (--help lists what there is)"
    return None


@data_app.command("check")
def data_check(
    path: Annotated[Path, typer.Argument(help="Folder or file of parallel text, or a folder of images.")],
    src: Source = None,
    tgt: Target = None,
) -> None:
    """Find what makes training go wrong in parallel text or in images; exit code 1 if something would."""
    from allyouneed.recipes.use import check_data

    raise typer.Exit(check_data(path, src, tgt))


@app.command()
def check() -> None:
    """Prove on this machine that the parts are right, in under a minute."""
    from allyouneed.lab.check import run_checks

    raise typer.Exit(0 if run_checks() else 1)


@app.command()
def models(as_json: Json = False) -> None:
    """The catalogue: every model with its paper, order strings, parameters and proof."""
    from allyouneed.recipes.explain import model_rows, print_models

    if as_json:
        print(json.dumps(model_rows(), ensure_ascii=False, indent=1))
    else:
        print_models()


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option("--out", help="The run folder to write (an older demo there is replaced).")
    ] = Path("runs/demo"),
    max_time: Annotated[str, typer.Option("--max-time", help="How long to train.")] = "3m",
    set_: Set = None,
) -> None:
    """Train a small translator on the embedded grammar, try it on held-out sentences and write a report."""
    from allyouneed.recipes.demo import run_demo

    run_demo(out, max_time, list(set_ or []))


if __name__ == "__main__":
    main()
