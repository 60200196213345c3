"""The report of an image classifier: scores, curves, confusion, its worst mistakes and what training looked like."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from allyouneed.records import read_metrics
from allyouneed.tracing.chart import Line, chart
from allyouneed.tracing.page import captioned, page, section, table, write_whole
from allyouneed.tracing.pictures import Tile, confusion_picture, sheet
from allyouneed.tracing.sections import settings_section
from allyouneed.tracing.svg import element, escape, standalone

MOST_PAIRS = 12  # confusions in the table


class Findings(NamedTuple):
    """What the report is about, as plain values."""

    title: str
    facts: Sequence[tuple[str, str, str]]  # name, value, more
    scores: Mapping[str, Any]  # of the dev set, see `tasks.class_scores.full_class_scores`
    classes: Sequence[str]
    confusion: np.ndarray  # true x taken for
    mistakes: Sequence[Tile]  # the surest first
    learnt_from: Sequence[Tile]  # a batch as the model saw it in training
    broken: Mapping[str, str]  # name of a file -> why it could not be read
    settings: Any
    commands: str  # for a shell
    python: str


def write_image_report(folder: Path, findings: Findings) -> Path:
    """Writes `report.html`, and its pictures as files of their own, into the run's folder; returns the page's path."""
    metrics = read_metrics(folder)
    parts = {
        "scores": _scores(findings),
        "learning": _learning(metrics),
        "confusion": _confusion(findings),
        "mistakes": _mistakes(findings.mistakes),
        "training": _training(findings.learnt_from),
        "broken": _broken(findings.broken),
        "settings": settings_section(findings.settings),
        "next": _next(findings),
    }
    parts = {name: part for name, part in parts.items() if part}
    path = Path(folder) / "report.html"
    write_whole(path, page(findings.title, _head(folder, findings, list(parts)), *parts.values(), _foot()))
    _write_pictures(Path(folder), findings)
    return path


def _write_pictures(folder: Path, findings: Findings) -> None:
    drawn = {"confusion.svg": confusion_picture(findings.confusion, findings.classes)}
    if findings.mistakes:
        drawn["mistakes.svg"] = sheet(findings.mistakes, "the worst mistakes")
    if findings.learnt_from:
        drawn["augmented.svg"] = sheet(findings.learnt_from, "training images as the model sees them")
    for name, svg in drawn.items():
        write_whole(folder / name, standalone(svg))


NAVIGATION = {
    "scores": "Scores", "learning": "Learning", "confusion": "Confusions", "mistakes": "Mistakes",
    "training": "Training images", "broken": "Broken files", "settings": "Settings", "next": "How to go on",
}  # fmt: skip


def _head(folder: Path, findings: Findings, names: Sequence[str]) -> str:
    cells = [
        element(
            "div", element("dt", escape(name)), element("dd", escape(value), element("small", escape(more) or "&nbsp;"))
        )
        for name, value, more in findings.facts
    ]
    return element(
        "header",
        element("p", escape(f"allyouneed · {folder}"), class_="kicker"),
        element("h1", escape(findings.title)),
        element("p", "What was trained, how well it recognises, and where it goes wrong.", class_="lead"),
        element("dl", *cells, class_="facts"),
        element("nav", *(element("a", NAVIGATION[name], href=f"#{name}") for name in names), aria_label="contents"),
    )


def _scores(findings: Findings) -> str:
    scores = findings.scores
    says = (
        f"of {scores['images']:,} validation images are recognised "
        f"(95 % interval {scores['accuracy_low']:.1%} to {scores['accuracy_high']:.1%})"
    )
    known = [
        ("macro_f1", "macro F1", "{:.3f}", "every class counts the same, however rare it is"),
        ("top5", "right within the first 5", "{:.1%}", "the true class is among the five likeliest"),
        ("nll", "cross-entropy", "{:.3f}", "in nats; high where the model is sure and wrong"),
    ]
    rows = [[escape(name), form.format(scores[key]), element("span", escape(what))]
            for key, name, form, what in known if key in scores]  # fmt: skip
    note = "The best weights were chosen by these images; the test split, read once, says what to expect of new ones."
    return section(
        "scores", "How good it is",
        element("p", element("b", f"{scores['accuracy']:.1%}"), element("span", escape(says)), class_="score"),
        table(["score", "value", "what it says"], rows), element("p", escape(note), class_="note"),
    )  # fmt: skip


# ---- learning --------------------------------------------------------------------------------------------------------


def image_curves(metrics: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """(chart, what to see in it) by name from lines of `metrics.jsonl`; those without figures are left out."""
    loss = [_line(metrics, "train", "loss", "blue"), _line(metrics, "dev", "dev_nll", "orange")]
    right = [_line(metrics, "train", "accuracy", "blue"), _line(metrics, "dev", "accuracy", "orange")]
    rate, speed = (_line(metrics, "train", name, shade) for name, shade in
                   (("learning_rate", "green"), ("tokens_per_second", "purple")))  # fmt: skip
    drawn = {
        "accuracy": (right, chart("Accuracy", right, "updates", "share recognised"),
                     "In training the images are varied, so the validation curve may lie above. When training rises on "
                     "alone, images are learnt by heart: more augmentation or dropout helps."),
        "loss": (loss, chart("Loss", loss, "updates", "nats per image"),
                 "Cross-entropy. The training curve has smoothed and mixed labels in it and cannot reach zero."),
        "learning_rate": ([rate], chart("Learning rate", [rate], "updates", "learning rate", zero=True),
                          "The size of the steps: up in the warm-up, then down."),
        "speed": ([speed], chart("Speed", [speed], "updates", "images per second", zero=True),
                  "Training images in a second; a dip means that the machine was busy with something else."),
    }  # fmt: skip
    return {name: (svg, says) for name, (lines, svg, says) in drawn.items() if any(line.points for line in lines)}


def _line(metrics: Sequence[Mapping[str, Any]], kind: str, name: str, shade: str) -> Line:
    found = [(line["step"], line.get(name)) for line in metrics if line.get("kind") == kind]
    points = [(float(step), float(value)) for step, value in found if isinstance(value, int | float)]
    named = {"train": "training", "dev": "validation"}[kind] if name in ("loss", "dev_nll", "accuracy") else name
    return Line(named, points, shade, dots=kind == "dev")


def _learning(metrics: Sequence[Mapping[str, Any]]) -> str:
    drawn = [captioned(svg, says) for svg, says in image_curves(metrics).values()]
    body = element("div", *drawn, class_="charts") if drawn else element("p", "This run has recorded no figures yet.")
    return section("learning", "How it learned", body)


# ---- confusions and mistakes -----------------------------------------------------------------------------------------


def confused_pairs(counts: np.ndarray, classes: Sequence[str]) -> list[tuple[str, str, int, float]]:
    """(is, taken for, how often, share of the class), the most frequent first."""
    wrong = counts * (1 - np.eye(len(classes), dtype=counts.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, counts.shape), strict=True)]
    return [
        (classes[i], classes[j], int(wrong[i, j]), float(wrong[i, j] / counts[i].sum()))
        for i, j in pairs
        if wrong[i, j]
    ]


def _confusion(findings: Findings) -> str:
    drawn = captioned(
        confusion_picture(findings.confusion, findings.classes),
        "A bright diagonal is what one wants. Point at a cell for its share; bright cells beside the diagonal are classes "
        "that look alike to the model, or labels that people would dispute as well.",
    )
    pairs = confused_pairs(findings.confusion, findings.classes)
    rows = [[escape(true), escape(other), f"{count:,}", f"{share:.1%}"] for true, other, count, share in pairs]
    often = (
        table(["is", "taken for", "how often", "of its class"], rows) if rows else element("p", "No mistakes at all.")
    )
    return section("confusion", "What it confuses", drawn, often)


def _mistakes(tiles: Sequence[Tile]) -> str:
    if not tiles:
        return ""
    says = "Validation images of which the model was surest and wrong. Look for wrong labels first: they stand here."
    return section("mistakes", "Its worst mistakes", element("p", says), element("figure", sheet(tiles, "mistakes")))


def _training(tiles: Sequence[Tile]) -> str:
    if not tiles:
        return ""
    says = (
        "The first batch as the model saw it: varied anew in every epoch. A person should still be able to name them; "
        "where that is hard, the augmentation is too strong (augment.* in the settings)."
    )
    return section("training", "What it learnt from", element("p", says), element("figure", sheet(tiles, "a batch")))


def _broken(broken: Mapping[str, str]) -> str:
    if not broken:
        return ""
    rows = [[element("code", escape(name)), escape(why)] for name, why in list(broken.items())[:200]]
    says = f"{len(broken):,} file(s) could not be read and were left out."
    return section("broken", "Broken files", element("p", says), table(["file", "why"], rows))


def _next(findings: Findings) -> str:
    return section(
        "next", "How to go on",
        element("p", "Recognise images, score held-out ones, or train on (with a higher limit):"),
        element("pre", element("code", escape(findings.commands))),
        element("p", "The same from Python:"), element("pre", element("code", escape(findings.python))),
    )  # fmt: skip


def _foot() -> str:
    says = "Written by allyouneed. This page holds all it needs: it can be sent and opened anywhere, without a network."
    return element("footer", escape(says))
