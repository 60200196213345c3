"""Tagging from settings to a run: sentences of tagged words, a body to begin from, and the run opened for use."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from allyouneed.data.encoder_settings import TaggedSettings
from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.data.tagged import TaggedCorpus, read_tagged, tag_ids, tag_set
from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes import starting
from allyouneed.recipes.answers import input_lines
from allyouneed.recipes.encoder_run import EncoderRun, load_labels, save_labels, save_subwords
from allyouneed.recipes.job import Kind, Prepared
from allyouneed.recipes.look import look_at_tags
from allyouneed.recipes.starting import settled
from allyouneed.settings import override
from allyouneed.tasks.entities import entities, has_entities, tag_scores
from allyouneed.tasks.tagging import Sentences, TaggingTask, read
from allyouneed.tasks.tuning import TuningSettings
from allyouneed.tracing.report import picture_of_learning
from allyouneed.tracing.trace import Trace
from allyouneed.training.checkpoint import write_text
from allyouneed.training.settings import TrainingSettings

KIND = Kind(
    task="tagging",
    title="tagging",
    groups={"data": TaggedSettings(), "tuning": TuningSettings()},
    system="bert",
    training=TrainingSettings(
        learning_rate=3e-4, warmup_steps=100, eps=1e-6, beta2=0.999, label_smoothing=0.0, ema_decay=0.0
    ),
    fitted=frozenset({"vocab_size", "positions_length", "pad", "labels"}),
    unlimited=("training.max_epochs=6", "training.patience=2"),
)


def prepare(settings: Any, folder: Path, resuming: bool) -> Prepared:
    """Reads the sentences; the pieces are those of what the run begins from, or are learnt. Then the folder is whole."""
    corpus = read_data(settings.data)
    facts = {"train": len(corpus.train.words), "val": len(corpus.val.words), "sha256": fingerprint(corpus)}
    labels = tag_set(corpus.train)
    if settings.data.metric == "f1" and not has_entities(labels):
        raise UserError("data.metric=f1 counts entities, but no tag begins with B- or I-; choose accuracy")
    if resuming:
        run_folder.check_same_data(folder, facts, "training sentences")
    settings, subwords = settled(KIND, settings, folder, resuming, lambda: map(" ".join, corpus.train.words))
    settings = override(settings, [f"model.labels={len(labels)}"])
    task = _task(settings, corpus, labels, subwords)
    if not resuming:
        save_subwords(subwords, folder)
        save_labels(labels, folder)
        write_text(folder / "data.json", json.dumps(facts, indent=1))
        run_folder.save_settings(settings, folder)
    return Prepared(settings, task, _notes(settings, corpus, labels, task))


def _task(settings: Any, corpus: TaggedCorpus, labels: Sequence[str], subwords: EncoderSubwords) -> TaggingTask:
    data, training = settings.data, settings.training
    train, val = (
        Sentences.of(part.words, tag_ids(part, labels, where), subwords, data.length)
        for part, where in ((corpus.train, "train"), (corpus.val, "validation"))
    )
    return TaggingTask(
        train, val, corpus.val.tags, labels, data.batch_tokens, training.seed, subwords.marks.pad, data.metric,
        training.label_smoothing, settings.tuning,
    )  # fmt: skip


def _notes(settings: Any, corpus: TaggedCorpus, labels: Sequence[str], task: TaggingTask) -> list[str]:
    """How much there is, what is tagged how often, and what is read in parts."""
    flat = [tag for tags in corpus.train.tags for tag in tags]
    counts = {label: flat.count(label) for label in labels}
    shown = ", ".join(f"{label} {count / len(flat):.1%}" for label, count in list(counts.items())[:12])
    notes = [
        f"{len(corpus.train.words):,} training sentences, {len(corpus.val.words):,} for validation; tags: {shown}"
        + (f" and {len(labels) - 12} more" if len(labels) > 12 else "")
    ]
    empty = [label for label, count in counts.items() if not count]
    notes += [f"warning: no training word has the tag {', '.join(map(repr, empty[:5]))}"] if empty else []
    longer = len(task.train.sentence) - len(set(task.train.sentence.tolist()))
    if longer:
        notes.append(
            f"sentences of more than data.length={settings.data.length} pieces are read in parts: {longer:,} more"
        )
    return notes


def read_data(data: TaggedSettings) -> TaggedCorpus:
    """The sentences that the settings name; with `max_rows` a part of the training ones."""
    if data.path is None:
        raise UserError("tagging needs tagged text: give --data a file of words and tags, or a folder of them")
    corpus = read_tagged(data.path, data.word, data.tag, data.split_seed)
    if data.max_rows is None or data.max_rows >= len(corpus.train.words):
        return corpus
    order = np.random.default_rng(data.split_seed).permutation(len(corpus.train.words))
    return corpus._replace(train=corpus.train.rows(sorted(order[: data.max_rows].tolist())))


def fingerprint(corpus: TaggedCorpus) -> str:
    digest = hashlib.sha256()
    for part in (corpus.train, corpus.val):
        for row in zip(part.words, part.tags, strict=True):
            digest.update("\n".join("\t".join(side) for side in row).encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def begin(model: nn.Module, settings: Any) -> list[str]:
    """The body's weights of what the run begins from."""
    return starting.begin(KIND, model, settings)


class Word(NamedTuple):
    """A word with its tag and the probability of that."""

    word: str
    tag: str
    probability: float


class TaggingRun(EncoderRun):
    """A trained tagger."""

    kind = KIND

    def __init__(self, folder: str | Path, device: str | None = None):
        super().__init__(folder, device)
        self.labels: list[str] = load_labels(self.folder, self.settings.model.labels)

    def logits(self, words: Sequence[Sequence[str]]) -> list[Tensor]:  # each: words c
        """Of every word of every sentence, in the order of `labels`; long sentences are read in parts."""
        if not words:
            return []
        longest = self.settings.model.positions_length
        blank = [[0] * len(row) for row in words]
        return read(self.model, Sentences.of(words, blank, self.subwords, longest), self.subwords.marks.pad)

    def predict(self, texts: Sequence[str | Sequence[str]]) -> list[list[Word]]:
        """Each text's words with their tags. A text is a list of words, or a line whose words spaces part."""
        words = [text.split() if isinstance(text, str) else list(text) for text in texts]
        out = []
        for row, logits in zip(words, self.logits(words), strict=True):
            best = logits.softmax(-1).max(-1)
            tags = [self.labels[i] for i in best.indices.tolist()]
            out.append([Word(*word) for word in zip(row, tags, best.values.tolist(), strict=True)])
        return out

    def look(self, text: str) -> Trace:
        """What the model does with a line of words, as a trace; its guesses are the tags of each word."""
        return look_at_tags(self, text)


def evaluate(folder: Path, data: Path | None = None, split: str = "test") -> dict[str, Any]:
    """F1 of exact entities and accuracy of words on a split."""
    run = TaggingRun(folder)
    place = run.settings.data if data is None else override(run.settings, [f"data.path={data}"]).data
    corpus = read_data(place)
    splits = {"train": corpus.train, "val": corpus.val, **corpus.tests}
    if split not in splits:
        raise UserError(f"the data has no split {split!r}; its splits: {', '.join(splits)}")
    text = splits[split]
    tag_ids(text, run.labels, split)
    found = [[run.labels[i] for i in row.argmax(-1).tolist()] for row in run.logits(text.words)]
    scores = tag_scores(text.tags, found, has_entities(run.labels))
    return {**scores, "sentences": len(found), "words": sum(map(len, found)), "split": split}


def predict(run: TaggingRun, inputs: Sequence[str], top_k: int, as_json: bool) -> list[str]:
    """Of each line its words with their tags, a word a line and a blank line after each text, or one object of JSON."""
    lines = []
    for text in run.predict(input_lines(inputs)):
        tags = [word.tag for word in text]
        if as_json:
            found = [{"kind": e.kind, "text": " ".join(w.word for w in text[e.begin : e.end]), "begin": e.begin,
                      "end": e.end} for e in entities(tags)]  # fmt: skip
            words = {"words": [w.word for w in text], "tags": tags, "entities": found}
            lines.append(json.dumps(words, ensure_ascii=False))
        else:
            lines += [*(f"{word.word}\t{word.tag}\t{word.probability:.4f}" for word in text), ""]
    return lines


def conclude(out: Path, task: TaggingTask) -> list[str]:
    """Draws the learning curve; returns what to say."""
    picture_of_learning(out)
    return [
        f"how it learnt: {out}/learning_curve.svg",
        f"tag:      allyouneed predict {out} FILE",
        f"score:    allyouneed evaluate {out} --split test",
    ]
