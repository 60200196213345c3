"""`allyouneed train TASK`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from allyouneed.commands.options import (
    Data,
    MaxSteps,
    MaxTime,
    Out,
    Preset,
    Recipe,
    Resume,
    Seed,
    Set,
    Source,
    Target,
    settings_help,
)

Start = Annotated[
    Path | None,
    typer.Option("--from", help="A pre-trained run, or a folder of BERT's or ALBERT's, to begin from."),
]
app = typer.Typer(no_args_is_help=True, help="Train a model on your own data.")


def _train(
    task: str, out: Path, model: str | None, preset: str | None, recipe: str, words: Mapping[str, Any],
    assignments: Sequence[str] | None, max_time: str | None, max_steps: int | None, resume: bool,
) -> None:  # fmt: skip
    """The one way from a command's words to a run; `words` are options that have a setting of their own."""
    from allyouneed.settings import parse_duration

    limits = {
        "training.max_steps": max_steps,
        "training.max_minutes": parse_duration(max_time) / 60 if max_time else None,
    }
    given = [f"{key}={value}" for key, value in {**words, **limits}.items() if value is not None]
    from allyouneed.recipes.train import train

    position = train(task, out, model, preset, recipe, [*given, *(assignments or [])], resume)
    if not position.ended:
        raise typer.Exit(130)  # interrupted: the shell's code for Ctrl-C


def _kind_of(model: str | None, start: Path | None, resume: bool) -> str | None:
    """What is begun from says which model it is, where the command does not."""
    if model or start is None or resume:
        return model
    from allyouneed.recipes.starting import system_of

    return system_of(start)


@app.command("translation", cls=settings_help("translation"))
def train_translation(
    out: Out,
    data: Data = None,
    src: Source = None,
    tgt: Target = None,
    model: Annotated[str | None, typer.Option("--model", help="transformer, rnn, conv, universal, sandwich.")] = None,
    preset: Preset = None,
    recipe: Annotated[str, typer.Option("--recipe", help="Ready settings: default, demo, multi30k.")] = "default",
    set_: Set = None,
    max_time: MaxTime = None,
    max_steps: MaxSteps = None,
    seed: Seed = None,
    resume: Resume = False,
) -> None:
    """Train a translator on parallel text; without --data on the embedded grammar."""
    words = {"data.path": data, "data.src": src, "data.tgt": tgt, "training.seed": seed}
    _train("translation", out, model, preset, recipe, words, set_, max_time, max_steps, resume)


@app.command("language-model", cls=settings_help("language-model"))
def language_model(
    out: Out,
    data: Annotated[Path | None, typer.Option("--data", help="A text file, or a folder of them.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="gpt, sandwich, reformer, ...")] = None,
    preset: Preset = None,
    recipe: Recipe = "default",
    set_: Set = None,
    max_time: MaxTime = None,
    max_steps: MaxSteps = None,
    seed: Seed = None,
    resume: Resume = False,
) -> None:
    """Train a model of running text: characters, bytes or subwords."""
    words = {"data.path": data, "training.seed": seed}
    _train("language-model", out, model, preset, recipe, words, set_, max_time, max_steps, resume)


@app.command("algorithm", cls=settings_help("algorithm"))
def algorithm(
    out: Out,
    problem: Annotated[
        str | None, typer.Option("--problem", help="copy, reverse, sort, add, multiply, duplicate or scan.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="residual_shuffle_exchange, shuffle_exchange, universal, ...")
    ] = None,
    preset: Preset = None,
    recipe: Recipe = "default",
    set_: Set = None,
    max_time: MaxTime = None,
    max_steps: MaxSteps = None,
    seed: Seed = None,
    resume: Resume = False,
) -> None:
    """Train a model on an algorithmic problem, and test it at lengths that it has not seen."""
    words = {"data.problem": problem, "training.seed": seed}
    _train("algorithm", out, model, preset, recipe, words, set_, max_time, max_steps, resume)


@app.command("masked-lm", cls=settings_help("masked-lm"))
def masked_lm(
    out: Out,
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="Text files, tables or folders; may be repeated.")
    ] = None,
    start: Start = None,
    model: Annotated[str | None, typer.Option("--model", help="bert or albert.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="tiny, mini, small, base, large, ...")] = None,
    recipe: Recipe = "default",
    set_: Set = None,
    max_time: MaxTime = None,
    max_steps: MaxSteps = None,
    seed: Seed = None,
    resume: Resume = False,
) -> None:
    """Pre-train an encoder on raw text, or go on with one: hidden words, and whether two texts belong together."""
    paths = f"[{', '.join(json.dumps(str(path)) for path in data)}]" if data else None
    words = {"data.path": paths, "data.start": start, "training.seed": seed}
    model = _kind_of(model, start, resume)
    _train("masked-lm", out, model, preset, recipe, words, set_, max_time, max_steps, resume)


@app.command("text-classification", cls=settings_help("text-classification"))
def text_classification(
    out: Out,
    data: Annotated[
        Path | None, typer.Option("--data", help="A TSV, CSV or JSONL table, or a folder of train, val, test.")
    ] = None,
    start: Start = None,
    text: Annotated[str | None, typer.Option("--text", help="The text's column.")] = None,
    pair: Annotated[str | None, typer.Option("--pair", help="The second text's column.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="The label's column.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="bert or albert.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="tiny, mini, small, base, large, ...")] = None,
    recipe: Recipe = "default",
    set_: Set = None,
    max_time: MaxTime = None,
    max_steps: MaxSteps = None,
    seed: Seed = None,
    resume: Resume = False,
) -> None:
    """Train a classifier of texts or of pairs of texts, from a pre-trained run or from scratch."""
    words: dict[str, Any] = {
        "data.path": data,
        "data.start": start,
        "data.text": text,
        "data.pair": pair,
        "data.label": label,
    }
    words["training.seed"] = seed
    model = _kind_of(model, start, resume)
    _train("text-classification", out, model, preset, recipe, words, set_, max_time, max_steps, resume)


@app.command("tagging", cls=settings_help("tagging"))
def tagging(
    out: Out,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Words and tags in columns, or JSONL; or a folder of train, val, test."),
    ] = None,
    start: Start = None,
    model: Annotated[str | None, typer.Option("--model", help="bert or albert.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="tiny, mini, small, base, large, ...")] = None,
    recipe: Recipe = "default",
    set_: Set = None,
    max_time: MaxTime = None,
    max_steps: MaxSteps = None,
    seed: Seed = None,
    resume: Resume = False,
) -> None:
    """Train a tagger of words (names, parts of speech), from a pre-trained run or from scratch."""
    words = {"data.path": data, "data.start": start, "training.seed": seed}
    model = _kind_of(model, start, resume)
    _train("tagging", out, model, preset, recipe, words, set_, max_time, max_steps, resume)


@app.command("question-answering", cls=settings_help("question-answering"))
def question_answering(
    out: Out,
    data: Annotated[
        Path | None, typer.Option("--data", help="SQuAD's JSON, or JSONL; or a folder of train, val, test.")
    ] = None,
    start: Start = None,
    model: Annotated[str | None, typer.Option("--model", help="bert or albert.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="tiny, mini, small, base, large, ...")] = None,
    recipe: Recipe = "default",
    set_: Set = None,
    max_time: MaxTime = None,
    max_steps: MaxSteps = None,
    seed: Seed = None,
    resume: Resume = False,
) -> None:
    """Train a reader that finds the answer to a question in a passage, from a pre-trained run or from scratch."""
    words = {"data.path": data, "data.start": start, "training.seed": seed}
    model = _kind_of(model, start, resume)
    _train("question-answering", out, model, preset, recipe, words, set_, max_time, max_steps, resume)


@app.command("image-classification", cls=settings_help("image-classification"))
def image_classification(
    out: Out,
    data: Annotated[
        str | None,
        typer.Option("--data", help="A folder of class folders (or train/, val/, test/), IDX files, a CSV, or digits."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="vit, mixer, spach, lambda or cnn.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="small, digits, tiny, s16, resnet18, ...")] = None,
    recipe: Annotated[str, typer.Option("--recipe", help="Ready settings: default, fashion-mnist.")] = "default",
    set_: Set = None,
    max_time: MaxTime = None,
    max_steps: MaxSteps = None,
    seed: Seed = None,
    resume: Resume = False,
) -> None:
    """Train a classifier of images; without --data on the embedded digits."""
    words = {"data.path": data, "training.seed": seed}
    _train("image-classification", out, model, preset, recipe, words, set_, max_time, max_steps, resume)
