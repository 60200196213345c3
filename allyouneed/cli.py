"""The command line: thin, it calls the rooms. Torch is imported inside commands only, so `--help` answers at once."""

import errno
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from allyouneed.errors import UserError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False,
    help="The Transformer and its family: train, translate, compare, look inside.",
)  # fmt: skip
train_app = typer.Typer(no_args_is_help=True, help="Train a model on your own data.")
data_app = typer.Typer(no_args_is_help=True, help="Look at data before training.")
app.add_typer(train_app, name="train")
app.add_typer(data_app, name="data")

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


class SettingsHelp(TyperCommand):
    """A command whose help ends with every setting that `--set` takes."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from allyouneed.recipes.explain import print_settings

        super().format_help(ctx, formatter)
        print_settings()


@train_app.command("translation", cls=SettingsHelp)
def train_translation(
    out: Annotated[Path, typer.Option("--out", help="The run folder to write.")],
    data: Data = None,
    src: Source = None,
    tgt: Target = None,
    model: Annotated[str | None, typer.Option("--model", help="A translator of the catalogue: transformer.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="The model's numbers: small, paper-base, ...")] = None,
    recipe: Annotated[str, typer.Option("--recipe", help="Ready settings: default, demo, multi30k.")] = "default",
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, key=value; may be repeated.")] = None,
    max_time: Annotated[str | None, typer.Option("--max-time", help="Stop after 90s, 40m, 1h30m.")] = None,
    max_steps: Annotated[int | None, typer.Option("--max-steps", min=1, help="Stop after so many updates.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of weights, batches and dropout.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, exactly.")] = False,
) -> None:
    """Train a translator on parallel text; without --data on the embedded grammar."""
    from allyouneed.settings import parse_duration

    words: dict[str, Any] = {"data.path": data, "data.src": src, "data.tgt": tgt, "training.seed": seed}
    words["training.max_steps"] = max_steps
    words["training.max_minutes"] = parse_duration(max_time) / 60 if max_time else None
    given = [f"{key}={value}" for key, value in words.items() if value is not None] + list(set_ or [])
    from allyouneed.recipes.train import train_translation as run

    position = run(out, model, preset, recipe, given, resume)
    if not position.ended:
        raise typer.Exit(130)  # interrupted: the shell's code for Ctrl-C


@app.command()
def translate(
    run: Run,
    file: Annotated[str, typer.Argument(help="Text to translate, a sentence a line; - is standard input.")] = "-",
    beam: Beam = None,
    length_penalty: Penalty = None,
    n_best: Annotated[
        int, typer.Option("--n-best", min=1, max=200, help="Translations per line, each with its line number.")
    ] = 1,
    scores: Annotated[bool, typer.Option("--scores", help="Put the score and a tab before each translation.")] = False,
    prefix: Annotated[str | None, typer.Option("--prefix", help="Words with which every translation begins.")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="File to write instead of standard output.")] = None,
) -> None:
    """Translate lines of text: lines in, lines out, same number and order."""
    from allyouneed.recipes.use import translate_lines

    translate_lines(run, file, {"beam": beam, "length_penalty": length_penalty}, n_best, scores, prefix, output)


class ServingHelp(TyperCommand):
    """A command whose help ends with the settings of a server."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from allyouneed.serving.settings import ServeCommand
        from allyouneed.settings import describe

        super().format_help(ctx, formatter)
        with formatter.section("Settings for --set key=value"):
            formatter.write_dl([(row.key, f"{row.explanation} [{row.default}]") for row in describe(ServeCommand)])


@app.command(cls=ServingHelp)
def serve(
    run: Run,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one and says it.")] = 8000,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, key=value; may be repeated.")] = None,
) -> None:
    """Translate for others over HTTP, batching what arrives together; Ctrl-C or SIGTERM stops it when all is answered."""
    from allyouneed.serving.settings import ServeCommand
    from allyouneed.settings import override

    settings = override(ServeCommand(), list(set_ or [])).serving
    from allyouneed.serving.server import serve as run_server

    def opened() -> Any:
        from allyouneed.recipes.runs import load

        return load(run)

    if not run_server(opened, run, host, port, settings):
        raise typer.Exit(1)


@app.command()
def evaluate(
    run: Run,
    data: Data = None,
    split: Annotated[str, typer.Option("--split", help="A file's prefix: test, val, test_2016_flickr.")] = "test",
    src: Source = None,
    tgt: Target = None,
    beam: Beam = None,
    length_penalty: Penalty = None,
    output: Annotated[Path | None, typer.Option("--output", help="File for the translations.")] = None,
    as_json: Json = False,
) -> None:
    """Score a translator on held-out text: sacreBLEU and chrF, with signatures and a 95 % interval."""
    from allyouneed.recipes.use import evaluate_run

    changes = {"beam": beam, "length_penalty": length_penalty}
    scores = evaluate_run(run, data, split, src, tgt, changes, output)
    if as_json:
        print(json.dumps(scores, ensure_ascii=False))
        return
    print(f"BLEU  {scores['bleu']:.2f}  (95 % {scores['bleu_low']:.2f} to {scores['bleu_high']:.2f}; "
          f"lower-cased {scores['bleu_lc']:.2f})   {scores['signature']}")  # fmt: skip
    print(f"chrF  {scores['chrf']:.2f}   {scores['chrf_signature']}")
    print(f"equal to the reference: {scores['exact_match']:.1%} of {scores['sentences']:,} sentences")


@app.command("export")
def export_(
    run: Run,
    to: Annotated[str, typer.Option("--to", help="Whose model to write: ctranslate2, onnx or huggingface.")],
    output: Annotated[
        Path | None, typer.Option("--output", help="The folder to write; without it RUN/export/TARGET.")
    ] = None,
) -> None:
    """Write a run as a model of CTranslate2, ONNX or Hugging Face transformers, with its vocabulary."""
    from allyouneed.recipes.export import export_run

    folder, notes = export_run(run, to, output)
    print("\n".join([f"written: {folder}", *notes]))


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A Marian checkpoint folder, as Hugging Face has it.")],
    out: Annotated[Path, typer.Option("--out", help="The run folder to write.")],
) -> None:
    """Make a run of a Marian checkpoint (opus-mt and the like): it translates as the checkpoint does."""
    from allyouneed.recipes.import_ import import_run

    print("\n".join([f"written: {out}", *import_run(folder, out)]))


@data_app.command("check")
def data_check(
    path: Annotated[Path, typer.Argument(help="Folder or file of parallel text.")],
    src: Source = None,
    tgt: Target = None,
) -> None:
    """Find what makes training go wrong: line counts, empties, duplicates, leaks, encoding; exit code 1 if it would."""
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
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, key=value; may be repeated.")] = None,
) -> None:
    """Train a small translator on the embedded grammar, try it on held-out sentences and write a report."""
    from allyouneed.recipes.demo import run_demo

    run_demo(out, max_time, list(set_ or []))


if __name__ == "__main__":
    main()
