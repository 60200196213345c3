"""What a finished image classifier leaves for a person: the report with its pictures, and the commands to try next."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from allyouneed.data.gallery import Gallery
from allyouneed.recipes.image_run import ImageRun
from allyouneed.records import read_metrics
from allyouneed.tasks.class_scores import confused, full_class_scores
from allyouneed.tasks.image_classification import ImageClassificationTask, judge
from allyouneed.tracing.image_report import Findings, write_image_report
from allyouneed.tracing.pictures import Tile
from allyouneed.tracing.report import picture_of_learning

MISTAKES, SHOWN = 32, 32  # tiles on a sheet


def conclude(out: Path, task: ImageClassificationTask) -> list[str]:
    """Writes `report.html`, `confusion.svg`, `mistakes.svg`, `augmented.svg` and the learning curve; what to say of it."""
    picture_of_learning(out)
    run = ImageRun(out)
    logits, labels = judge(run.model, task.val, run.learning)
    place, image = shlex.quote(str(out)), "photo.jpg"
    commands = {
        "predict": f"allyouneed predict {place} {image}",
        "score": f"allyouneed evaluate {place} --split test",
        "go on": f"allyouneed train image-classification --out {place} --resume",
    }
    findings = Findings(
        title="An image classifier",
        facts=facts_of(run, task),
        scores=full_class_scores(logits, labels),
        classes=run.classes,
        confusion=confused(logits, labels),
        mistakes=worst_mistakes(task.val, logits, labels, run.classes),
        learnt_from=first_batch(task),
        broken={**task.train.broken, **task.val.broken},
        settings=run.settings,
        commands="\n".join(commands.values()),
        python=f"import allyouneed as ayn\n\nrun = ayn.load({str(out)!r})\nrun.predict({image!r}, top_k=3)",
    )
    path = write_image_report(out, findings)
    return [f"report: {path}", f"predict: {commands['predict']}", f"score:   {commands['score']}"]


def worst_mistakes(gallery: Gallery, logits: Tensor, labels: Tensor, classes: list[str]) -> list[Tile]:
    """The wrong answers of which the model was surest."""
    sure, predicted = logits.softmax(-1).max(-1)
    wrong = ((predicted != labels) & (labels >= 0)).nonzero()[:, 0]
    rows = wrong[sure[wrong].argsort(descending=True, stable=True)][:MISTAKES].tolist()
    images = gallery.pixels(np.array(rows, dtype=np.int64)).images
    return [
        Tile(
            image,
            (f"is {classes[int(labels[row])]}", f"✗ {classes[int(predicted[row])]} {float(sure[row]):.0%}"),
            gallery.names[row],
        )
        for image, row in zip(images, rows, strict=True)
    ]


def first_batch(task: ImageClassificationTask) -> list[Tile]:
    """Images of the first batch as the model saw them, mixed labels written out."""
    rows = task.plan(0)[0]
    example = task.example(task.collate(rows, 0))
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (task.learning.mean, task.learning.std))
    images = ((example.images * std + mean) * 255).round().clamp(0, 255).byte().numpy()
    shown = zip(images[:SHOWN], example.targets[:SHOWN], rows[:SHOWN], strict=True)
    return [Tile(image, (_named(target, task.classes),), task.train.names[row]) for image, target, row in shown]


def _named(target: Tensor, classes: list[str]) -> str:
    """The class, or the two that are mixed with their shares; what smoothing gives to the others is left out."""
    share, best = target.topk(min(2, len(classes)))
    floor = float(target.min())
    known = [(float(s) - floor, classes[int(i)]) for s, i in zip(share, best, strict=True) if float(s) - floor > 0.01]
    total = sum(part for part, _ in known)
    return " + ".join(name if len(known) == 1 else f"{part / total:.0%} {name}" for part, name in known)


def facts_of(run: ImageRun, task: ImageClassificationTask) -> list[tuple[str, str, str]]:
    """(name, value, more) of what one wants to know first."""
    data, count = run.settings.data, sum(parameter.numel() for parameter in run.model.parameters())
    found: list[tuple[str, str, str]] = [
        ("model", str(run.settings.system), ""),
        ("parameters", f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count:,}", ""),
        ("training images", f"{len(task.train):,}", f"{len(task.val):,} for validation"),
        ("classes", f"{len(run.classes):,}", ", ".join(run.classes[:4]) + (", ..." if len(run.classes) > 4 else "")),
        ("image size", f"{data.image_size} x {data.image_size}", "grey" if data.channels == 1 else "in colour"),
    ]
    metrics: list[dict[str, Any]] = read_metrics(run.folder)
    if metrics:
        seconds = max(float(line.get("seconds", 0)) for line in metrics)
        steps = max(line["step"] for line in metrics)
        found.append(("training time", f"{seconds / 60:.1f} min", f"{steps:,} updates"))
    return found
