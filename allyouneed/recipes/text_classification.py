"""Text classification from settings to a run: labelled tables, a body to begin from, and the run opened for use."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from allyouneed.data.encoder_settings import LabelledSettings
from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.data.labelled import Columns, Labelled, LabelledCorpus, label_ids, label_set, read_labelled
from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes import starting
from allyouneed.recipes.answers import best_of, input_lines, warn_of_cut
from allyouneed.recipes.encoder_run import EncoderRun, load_labels, save_labels, save_subwords
from allyouneed.recipes.job import Kind, Prepared
from allyouneed.recipes.look import look_at_class
from allyouneed.recipes.starting import settled
from allyouneed.settings import override
from allyouneed.tasks.classification_scores import confusion, scores
from allyouneed.tasks.text_classification import Marked, TextClassificationTask, read
from allyouneed.tasks.tuning import TuningSettings
from allyouneed.tracing.page import write_whole
from allyouneed.tracing.pictures import confusion_picture
from allyouneed.tracing.report import picture_of_learning
from allyouneed.tracing.svg import standalone
from allyouneed.tracing.trace import Trace
from allyouneed.training.checkpoint import write_text
from allyouneed.training.settings import TrainingSettings

KIND = Kind(
    task="text-classification",
    title="text classification",
    groups={"data": LabelledSettings(), "tuning": TuningSettings()},
    system="bert",
    training=TrainingSettings(
        learning_rate=3e-4, warmup_steps=100, eps=1e-6, beta2=0.999, label_smoothing=0.0, ema_decay=0.0
    ),
    fitted=frozenset({"vocab_size", "positions_length", "pad", "labels"}),
    unlimited=("training.max_epochs=4", "training.patience=2"),
)


def prepare(settings: Any, folder: Path, resuming: bool) -> Prepared:
    """Reads the tables; the pieces are those of what the run begins from, or are learnt. Then the folder is whole."""
    corpus = read_data(settings.data)
    facts = {"train": len(corpus.train.first), "val": len(corpus.val.first), "sha256": fingerprint(corpus)}
    labels = label_set(corpus.train)
    if resuming:
        run_folder.check_same_data(folder, facts, "training rows")
    settings, subwords = settled(KIND, settings, folder, resuming, lambda: [*corpus.train.first, *corpus.train.second])
    settings = override(settings, [f"model.labels={len(labels)}"])
    task, notes = _task(settings, corpus, labels, subwords)
    if not resuming:
        save_subwords(subwords, folder)
        save_labels(labels, folder)
        write_text(folder / "data.json", json.dumps(facts, indent=1))
        run_folder.save_settings(settings, folder)
    return Prepared(settings, task, notes)


def _task(
    settings: Any, corpus: LabelledCorpus, labels: Sequence[str], subwords: EncoderSubwords
) -> tuple[TextClassificationTask, list[str]]:
    data, training = settings.data, settings.training
    counts = [corpus.train.labels.count(label) for label in labels]
    weights = [len(corpus.train.labels) / (len(labels) * count) for count in counts] if data.balance else None
    train = Marked.of(corpus.train, label_ids(corpus.train.labels, labels, "train"), subwords, data.length)
    val = Marked.of(corpus.val, label_ids(corpus.val.labels, labels, "validation"), subwords, data.length)
    task = TextClassificationTask(
        train, val, len(labels), data.batch_tokens, training.seed, subwords.marks.pad, data.metric,
        training.label_smoothing, weights, settings.tuning,
    )  # fmt: skip
    cut = int((train.ids.lengths >= data.length).sum())
    shown = ", ".join(f"{label} {count / sum(counts):.1%}" for label, count in zip(labels, counts, strict=True))
    notes = [f"{len(train.classes):,} training texts, {len(val.classes):,} for validation; labels: {shown}"]
    notes += [f"{cut:,} texts reach data.length={data.length} pieces and may be cut"] if cut else []
    absent = sorted(set(labels) - set(corpus.val.labels))
    notes += [f"warning: no text for validation has the label {', '.join(map(repr, absent[:5]))}"] if absent else []
    return task, notes


def read_data(data: LabelledSettings) -> LabelledCorpus:
    """The tables that the settings name; with `max_rows` a part of the training rows."""
    if data.path is None:
        raise UserError("text classification needs labelled text: give --data a table, or a folder of them")
    corpus = read_labelled(data.path, Columns(data.text, data.pair, data.label), data.split_seed)
    if data.max_rows is None or data.max_rows >= len(corpus.train.first):
        return corpus
    order = np.random.default_rng(data.split_seed).permutation(len(corpus.train.first))
    return corpus._replace(train=corpus.train.rows(sorted(order[: data.max_rows].tolist())))


def fingerprint(corpus: LabelledCorpus) -> str:
    digest = hashlib.sha256()
    for part in (corpus.train, corpus.val):
        for side in part:
            digest.update("\n".join(side).encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def begin(model: nn.Module, settings: Any) -> list[str]:
    """The body's weights of what the run begins from."""
    return starting.begin(KIND, model, settings)


class TextClassificationRun(EncoderRun):
    """A trained classifier of texts."""

    kind = KIND

    def __init__(self, folder: str | Path, device: str | None = None):
        super().__init__(folder, device)
        self.labels: list[str] = load_labels(self.folder, self.settings.model.labels)

    def probabilities(self, texts: Sequence[str], second: Sequence[str] = ()) -> torch.Tensor:  # -> texts c
        """The probability of each label, in the order of `labels`."""
        given = Labelled(list(texts), list(second), [""] * len(texts))
        marked = Marked.of(given, [0] * len(texts), self.subwords, self.settings.model.positions_length)
        return read(self.model, marked, self.subwords.marks.pad).softmax(-1)

    def cut(self, texts: Sequence[str], second: Sequence[str] = ()) -> list[int]:
        """Which of the texts, from 1, are longer than the model's positions and lose their end."""
        room = self.settings.model.positions_length - (3 if second else 2)
        sizes = [len(ids) for ids in self.subwords.encode(list(texts))]
        more = [len(ids) for ids in self.subwords.encode(list(second))] or [0] * len(sizes)
        return [row for row, (a, b) in enumerate(zip(sizes, more, strict=True), 1) if a + b > room]

    def predict(self, texts: Sequence[str], second: Sequence[str] = ()) -> list[dict[str, float]]:
        """For each text its labels with their probabilities, the most probable first."""
        if not texts:
            return []
        found = self.probabilities(texts, second)
        orders = found.argsort(dim=-1, descending=True, stable=True).tolist()
        return [{self.labels[i]: float(row[i]) for i in order} for row, order in zip(found, orders, strict=True)]

    def look(self, text: str) -> Trace:
        """What the model does with a text, or two with a tab between them, as a trace with the labels' probabilities."""
        return look_at_class(self, text)


def evaluate(folder: Path, data: Path | None = None, split: str = "test") -> dict[str, Any]:
    """Accuracy, F1 and Matthews correlation on a split."""
    run = TextClassificationRun(folder)
    place = run.settings.data if data is None else override(run.settings, [f"data.path={data}"]).data
    corpus = read_data(place)
    splits = {"train": corpus.train, "val": corpus.val, **corpus.tests}
    if split not in splits:
        raise UserError(f"the data has no split {split!r}; its splits: {', '.join(splits)}")
    texts = splits[split]
    true = label_ids(texts.labels, run.labels, split)
    found = run.probabilities(texts.first, texts.second).argmax(-1).numpy()
    table = confusion(true, found, len(run.labels))
    return {**scores(table), "rows": len(true), "split": split, "labels": run.labels, "confusion": table.tolist()}


def predict(run: TextClassificationRun, inputs: Sequence[str], top_k: int, as_json: bool) -> list[str]:
    """A line of answer for each line of text; a tab parts the two texts of a pair."""
    lines = input_lines(inputs)
    pairs = [line.split("\t", 1) for line in lines]
    paired = bool(run.settings.data.pair) or all(len(pair) == 2 for pair in pairs)
    second = [pair[1] if len(pair) > 1 else "" for pair in pairs] if paired and lines else []
    first = [pair[0] for pair in pairs] if second else lines
    warn_of_cut(run.cut(first, second), run.settings.model.positions_length)
    return [best_of(answer, top_k, as_json) for answer in run.predict(first, second)]


def conclude(out: Path, task: TextClassificationTask) -> list[str]:
    """Draws the learning curve and the confusion on the dev set; returns what to say."""
    picture_of_learning(out)
    run = TextClassificationRun(out)
    found = read(run.model, task.val, task.pad, task.batch_tokens).argmax(-1).numpy()
    drawn = confusion_picture(confusion(task.val.classes, found, task.classes), run.labels)
    write_whole(out / "confusion.svg", standalone(drawn))
    return [
        f"how it learnt: {out}/learning_curve.svg; what is taken for what: {out}/confusion.svg",
        f"classify: allyouneed predict {out} FILE",
        f"score:    allyouneed evaluate {out} --split test",
    ]
