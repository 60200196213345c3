"""The report of a translator: one self-contained page with scores, curves, examples, attention and positions."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.records import read_metrics
from allyouneed.tracing import sections
from allyouneed.tracing.figures import learning_curves, stacked
from allyouneed.tracing.page import page, write_whole
from allyouneed.tracing.sections import Example
from allyouneed.tracing.seeing import card_of
from allyouneed.tracing.sentence import choose_sentence, look_inside
from allyouneed.tracing.svg import element, escape, standalone

__all__ = ["Example", "picture_of_learning", "write_report"]

POSITIONS = 64
EXPLORER = "explorer.html"
READ = 100
"""Pieces of the sentence that is looked at, at the most: where all are longer, its beginning will do."""


class Translating(Protocol):
    """What the report asks of a finished run; `allyouneed.load` gives one."""

    folder: Path
    settings: Any
    vocabulary: Any
    model: nn.Module
    translator: Any


def write_report(run: Translating, scores: Mapping[str, Any], examples: Sequence[Example]) -> Path:
    """Writes `report.html` into the run's folder, whole or not at all, and returns its path.

    `scores` are those of `tasks.metrics.full_scores` (what is missing is left out); the first example of a legible
    length is the one whose attention is drawn.
    """
    metrics, facts = read_metrics(run.folder), _facts(run.folder)
    line = choose_sentence([example.source for example in examples], run.vocabulary.source)
    parts = {
        "scores": sections.scores_section(scores),
        "learning": sections.learning_section(metrics),
        "examples": sections.examples_section(examples, facts),
        "attention": _attention(run, line, facts),
        "positions": _positions(run.model),
        "settings": sections.settings_section(run.settings),
        "next": sections.next_section(str(run.folder), line or "Ein Satz."),
    }
    parts = {name: part for name, part in parts.items() if part}
    title = _title(facts)
    path = Path(run.folder) / "report.html"
    write_whole(path, page(title, _head(title, run, facts, metrics, list(parts)), *parts.values(), _foot()))
    return path


def picture_of_learning(folder: Path) -> None:
    """Writes `learning_curve.svg` into a run's folder from its `metrics.jsonl`."""
    charts = learning_curves(read_metrics(Path(folder)))
    write_whole(Path(folder) / "learning_curve.svg", standalone(stacked(list(charts.values()))))


def _facts(folder: Path) -> dict[str, Any]:
    """What `data.json` says of the training text; nothing where it is missing."""
    try:
        return dict(json.loads((Path(folder) / "data.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


LANGUAGES = {
    "cs": "Czech", "de": "German", "en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "ja": "Japanese",
    "pt": "Portuguese", "ru": "Russian", "zh": "Chinese",
}  # fmt: skip


def _title(facts: Mapping[str, Any]) -> str:
    if "source" in facts and "target" in facts:
        source, target = (LANGUAGES.get(facts[side], facts[side]) for side in ("source", "target"))
        return f"A translator from {source} to {target}"
    return "A translator"


NAVIGATION = {
    "scores": "Scores", "learning": "Learning", "examples": "Examples", "attention": "Attention",
    "positions": "Positions", "settings": "Settings", "next": "How to go on",
}  # fmt: skip


def _head(
    title: str, run: Translating, facts: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> str:
    cells = [
        element(
            "div", element("dt", escape(name)), element("dd", escape(value), element("small", escape(more) or "&nbsp;"))
        )
        for name, value, more in _key_facts(run, facts, metrics)
    ]
    links = [element("a", NAVIGATION[name], href=f"#{name}") for name in names]
    return element(
        "header",
        element("p", escape(f"allyouneed · {run.folder}"), class_="kicker"),
        element("h1", escape(title)),
        element("p", "What was trained, how well it translates, and what goes on inside.", class_="lead"),
        element("dl", *cells, class_="facts"),
        element("nav", *links, aria_label="contents"),
    )


def _key_facts(
    run: Translating, facts: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str, str]]:
    """(name, value, more) of what one wants to know first."""
    model, count = run.settings.model, sum(parameter.numel() for parameter in run.model.parameters())
    size = f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count:,}"
    found = [("model", str(run.settings.system), ""), ("parameters", size, _sizes(model))]
    if "train" in facts:
        used = min(facts["train"], run.settings.data.max_sentences or facts["train"])
        found.append(("training pairs", f"{used:,}", f"{facts.get('val', 0):,} for validation"))
    joint = run.vocabulary.source is run.vocabulary.target
    found.append(("subwords", f"{len(run.vocabulary.target):,}", "shared by both sides" if joint else "of the target"))
    if metrics:
        epochs = max((line.get("epoch", 0) for line in metrics if line.get("kind") == "train"), default=0)
        seconds = max((float(line.get("seconds", 0)) for line in metrics), default=0.0)
        steps = max(line["step"] for line in metrics)
        found.append(("updates", f"{steps:,}", f"in epoch {int(epochs) + 1}"))
        found.append(("training time", _time(seconds), "validation included"))
    return found


def _sizes(model: Any) -> str:
    known = [("dim", "width {}"), ("depth", "{} layers"), ("heads", "{} heads")]
    return ", ".join(says.format(getattr(model, name)) for name, says in known if getattr(model, name, None))


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _attention(run: Translating, line: str | None, facts: Mapping[str, Any]) -> str:
    """The section on attention, and `explorer.html` beside the report, to which it leads.

    Of a model without any attention it says so, and the report is written all the same.
    """
    if line is None:
        return ""
    try:
        languages = [str(facts.get(side, "")) for side in ("source", "target")]
        limit = min(READ, run.settings.decoding.max_source)
        settings = run.settings.decoding.model_copy(update={"max_source": limit})
        trace = look_inside(run.translator, line, settings, card_of(run), languages)
    except UserError as error:
        return element("section", element("h2", "Where it looks"), element("p", escape(error)), id="attention")
    write_whole(Path(run.folder) / EXPLORER, trace.html())
    says = "All of it, with the search of the translation step by step, is in "
    link = element("p", says, element("a", "the explorer", href=EXPLORER), f", {EXPLORER} beside this page.")
    return sections.attention_section(trace, link)


def _positions(model: nn.Module) -> str:
    codes = _codes(model)
    return "" if codes is None else sections.positions_section(codes)


def _codes(model: nn.Module) -> Tensor | None:
    """The first position codes of the model, n d, if it has a table of them (a shorter one where it is shorter)."""
    for module in model.modules():
        codes = getattr(module, "codes", None)
        if callable(codes):
            table = getattr(module, "table", None)
            count = POSITIONS if table is None else max(2, min(POSITIONS, len(table)))
            with torch.no_grad():
                return codes(count).detach().float().cpu()
    return None


def _foot() -> str:
    says = "Written by allyouneed. This page holds all it needs: it can be sent and opened anywhere, without a network."
    return element("footer", escape(says))
