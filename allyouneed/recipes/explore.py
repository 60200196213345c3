"""What `allyouneed explore` and `allyouneed picture` are given: a run and an input, or a trace that is there already."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from allyouneed.data.algorithms import example
from allyouneed.errors import UserError
from allyouneed.recipes.look import not_empty
from allyouneed.recipes.runs import load
from allyouneed.records import read_metrics
from allyouneed.tracing.manifest import Manifest
from allyouneed.tracing.plot import curves
from allyouneed.tracing.seeing import card_of
from allyouneed.tracing.trace import Trace

CHARACTERS = 20_000
IMAGE_BYTES = 16 << 20
ACCEPT = "image/png,image/jpeg,image/webp,image/bmp,image/gif,image/tiff"

SAYS = {
    "translation": "A sentence to translate.",
    "language-model": "A text for the model to read.",
    "masked-lm": "A text with [MASK] where a word is to be guessed.",
    "text-classification": "A text to classify; of a pair, the second on the next line or after a tab.",
    "tagging": "A line of words to tag.",
    "question-answering": "A question and, on the next line or after a tab, the passage that may answer it.",
    "image-classification": "An image to recognise.",
    "algorithm": "A question, its symbols with spaces between.",
}
SENTENCES = {
    "de": "Der alte Arzt kauft am Montag drei Bücher.",
    "zh": "小明上个星期一买了三本书。",
    "en": "The teacher buys a book.",
}


class Place(NamedTuple):
    """What a command was pointed at: a run, or a trace of one."""

    run: Any = None
    trace: Trace | None = None


def opened(place: Path) -> Place:
    """A run folder, or a trace file. UserError where it is neither."""
    if place.is_file():
        return Place(trace=Trace.load(place))
    return Place(run=load(place))


def traces_of(places: Sequence[Place], given: str | None, options: dict[str, Any], live: bool = False) -> list[Trace]:
    """The trace of each place: made now of what is given to a run, or read already. A live page can begin with less."""
    if given is not None and not any(place.run for place in places):
        raise UserError("a trace holds what one input did, so --input has no use here; give a run folder instead")
    return [place.trace or _looked(place.run, given, options, live) for place in places]


def _looked(run: Any, given: str | None, options: dict[str, Any], live: bool) -> Trace:
    if live:
        return first(run, given, options)
    if given is None:
        raise UserError(f"a run needs something to look at; give it with --input ({_says(run)})")
    return seen(run, given, options)


def seen(run: Any, given: str, options: dict[str, Any]) -> Trace:
    """`run.look`, with the options that were given. UserError for one that this kind of run has not."""
    known = {option["name"] for option in invitation(run)["options"]}
    chosen = {name: value for name, value in options.items() if value is not None}
    foreign = sorted(set(chosen) - known)
    if foreign:
        raise UserError(f"a run of {run.settings.task} has no {foreign[0]} to choose; leave it out")
    trace: Trace = run.look(not_empty(given, f"{_says(run)[0].lower()}{_says(run)[1:-1]}"), **chosen)
    return trace


def check_counts(trace: Trace, relation: str | None, layer: int, head: int | None, query: int | None) -> None:
    """UserError, in numbers from 1, for a layer, head or item that the trace has not; other faults are the picture's."""
    relations = trace.manifest.relations
    name = relation or ("cross" if "cross" in relations else next(iter(relations), ""))
    if name not in relations:
        return
    found = relations[name]
    heads = found.layers[min(layer, len(found.layers)) - 1].heads
    items = trace.manifest.spaces[found.queries].size
    for what, number, count in (("layer", layer, len(found.layers)), ("head", head, heads), ("query", query, items)):
        if number is not None and number > count:
            raise UserError(f"--{what} {number} is too high: {name} has {count} there")


def draw_curves(folder: Path, output: Path, width: float | None = None) -> None:
    """How a run learned, from its `metrics.jsonl`."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no run folder, and the curves are drawn from a run's metrics; give its folder")
    metrics = read_metrics(folder)
    if not metrics:
        raise UserError(f"{folder} has recorded no figures yet, so there are no curves to draw")
    curves(metrics, output=output, width=width)


def first(run: Any, given: str | None, options: dict[str, Any]) -> Trace:
    """What a live page begins with: the input, the run's example, or an empty trace where there is none."""
    given = given if given is not None else invitation(run)["example"]
    return seen(run, given, options) if given else Trace(Manifest(model=card_of(run)), {})


def invitation(run: Any) -> dict[str, Any]:
    """What a live page tells of a run: what it takes, and which options; see `allyouneed.serving.explore.Looker`."""
    image = run.settings.task == "image-classification"
    return {
        "name": run.folder.resolve().name,
        "task": run.settings.task,
        "takes": "image" if image else "text",
        "says": _says(run),
        "example": "" if image else _example(run),
        "limit": IMAGE_BYTES if image else CHARACTERS,
        "accept": ACCEPT if image else "",
        "options": _options(run) if run.settings.task == "translation" else [],
    }


def _says(run: Any) -> str:
    return SAYS[run.settings.task]


def _options(run: Any) -> list[dict[str, Any]]:
    decoding = run.settings.decoding
    beam = {"name": "beam", "title": "Beam width", "value": decoding.beam, "least": 1, "most": 16, "step": 1}
    alpha = {"name": "length_penalty", "title": "Length penalty", "value": decoding.length_penalty}
    return [beam, {**alpha, "least": 0, "most": 5, "step": 0.1}]


def _example(run: Any) -> str:
    """Of what was trained on text that comes with the library; what other runs can read, only their owner knows."""
    data = run.settings.data
    if run.settings.task == "algorithm":
        lengths = run.task.problem.lengths(data.train_length)
        return str(run.task.problem.read(example(data.problem, 0, "test", 0, lengths[-1]).question))
    if run.settings.task == "translation" and data.path is None:
        return SENTENCES.get(data.pair[:2], "")
    return ""
