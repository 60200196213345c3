"""Pre-training where labels are few: fine-tuning from own pre-training against from scratch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from allyouneed.data.documents import Documents
from allyouneed.data.labelled import Columns, Labelled, label_ids, label_set, read_labelled
from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.encoders import LENGTH, TOPICS, Text, World, documents, pretrained
from allyouneed.lab.interval import above, interval
from allyouneed.lab.training import part, train
from allyouneed.models.bert import BertConfig, masked_lm, text_classifier
from allyouneed.nn.encoder_heads import TextClassifier
from allyouneed.tasks.text_classification import Marked, TextClassificationTask
from allyouneed.tracing.chart import Line, chart
from allyouneed.training.settings import TrainingSettings

DIM, SIZES, EPOCHS, LEAST = 96, (100, 300, 1000, 3000, 10_000, 60_000), 4, 150
BEGINNINGS = ("scratch", "pre-trained")


def labelled(trial: Trial) -> tuple[Documents, Labelled, Labelled]:
    """Raw documents, training texts and held-out ones: of the table that `--data` names, whose texts are the documents
    too, or made-up pairs of words of which half of the topics are good and half bad."""
    if trial.data is not None:
        corpus = read_labelled(trial.data, Columns(), 1)
        return (
            Documents([[text] for text in corpus.train.first], [[t] for t in corpus.val.first]),
            corpus.train,
            corpus.val,
        )
    world, draw = World(), np.random.default_rng([13, trial.seed])
    parts = []
    for count in (3000, 1000):
        topics = draw.integers(TOPICS, size=count)
        texts = [world.hint(int(topic), draw) for topic in topics]
        parts.append(Labelled(texts, [], [("bad", "good")[topic % 2] for topic in topics.tolist()]))
    return documents(trial), parts[0], parts[1]


def measure(trial: Trial) -> Figures:
    """Held-out accuracy by the number of labelled texts, from scratch and from pre-training on raw text."""
    raw, texts, held_out = labelled(trial)
    text, labels = Text.of(raw), label_set(texts)
    numbers: dict[str, Any] = dict(
        vocab_size=len(text.subwords), dim=DIM, heads=4, ffn_dim=4 * DIM, depth=2, positions_length=LENGTH,
        labels=len(labels), pair="none",
    )  # fmt: skip
    torch.manual_seed(trial.seed)
    taught = pretrained(masked_lm(BertConfig(**numbers)), text.task("none", trial.seed), 8 if trial.quick else 3000,
                        part(trial.tick, 0, 2), DIM)  # fmt: skip
    val = Marked.of(held_out, label_ids(held_out.labels, labels, "validation"), text.subwords, LENGTH)
    order = np.random.default_rng(trial.seed).permutation(len(texts.first)).tolist()
    sizes = [size for size in SIZES[: 1 if trial.quick else None] if size <= len(order)]
    out: dict[str, Any] = {"sizes": sizes, **{name: [] for name in BEGINNINGS}}
    for i, size in enumerate(sizes):
        few = texts.rows(order[:size])
        marked = Marked.of(few, label_ids(few.labels, labels, "train"), text.subwords, LENGTH)
        task = TextClassificationTask(marked, val, len(labels), 1024, trial.seed, text.subwords.marks.pad)
        for j, name in enumerate(BEGINNINGS):
            torch.manual_seed(trial.seed)
            model = text_classifier(BertConfig(**numbers))
            if name == "pre-trained":
                model.adopt(taught)
            tick = part(part(trial.tick, 1, 2), 2 * i + j, 2 * len(sizes))
            out[name].append(_tuned(model, task, trial, tick))
    return out


def _tuned(model: TextClassifier, task: TextClassificationTask, trial: Trial, tick: Any) -> float:
    """Accuracy after fine-tuning: some epochs, and no fewer than `LEAST` updates."""
    steps = 5 if trial.quick else max(LEAST, EPOCHS * len(task.plan(0)))
    settings = TrainingSettings(
        max_steps=steps, learning_rate=5e-4, warmup_steps=steps // 10, schedule="linear", ema_decay=0.0, beta2=0.999,
        label_smoothing=0.0, eps=1e-6, threads=1, seed=trial.seed,
    )  # fmt: skip
    return task.validate(train(model, task, settings, tick, DIM))["accuracy"]


def ahead(found: Sequence[Figures], i: int) -> list[float]:
    return [f["pre-trained"][i] - f["scratch"][i] for f in found]


def judge(found: Sequence[Figures]) -> Verdict:
    sizes = found[0]["sizes"]
    return Verdict(
        above(ahead(found, 0)),
        f"with {sizes[0]:,} labelled texts pre-training is ahead by {interval(ahead(found, 0))} in accuracy, with "
        f"{sizes[-1]:,} by {interval(ahead(found, -1))}",
    )


def table(found: Sequence[Figures]) -> Table:
    rows = [
        [f"{size:,}", *(str(interval([f[name][i] for f in found])) for name in BEGINNINGS)]
        for i, size in enumerate(found[0]["sizes"])
    ]
    return Table(["labelled texts", *(f"accuracy, {name}" for name in BEGINNINGS)], rows)


def picture(found: Sequence[Figures]) -> str:
    lines = [
        Line(name, [(float(np.log10(size)), interval([f[name][i] for f in found]).mean)
                    for i, size in enumerate(found[0]["sizes"])], colour, dots=True)
        for name, colour in zip(BEGINNINGS, ("orange", "blue"), strict=True)
    ]  # fmt: skip
    return chart("What pre-training is worth", lines, "log10 of labelled texts", "held-out accuracy")


CLAIM = Claim(
    name="small_data",
    says="Pre-training on raw text helps most where labelled texts are few.",
    source="Devlin et al. 2019, sections 4.1 and 5",
    url="https://arxiv.org/abs/1810.04805",
    paper=Table(["quantity", "paper"], [["GLUE average of a large BERT", "80.5, 7.7 above the state of the art before"]]),
    setup=f"A BERT of two layers of width {DIM}: 3,000 updates on raw text, then fine-tuning with 100 to 60,000 labelled "
          f"texts, as far as there are so many, for {EPOCHS} epochs and {LEAST} updates at least, against the same from "
          "scratch. Made-up documents and pairs of their words, or a labelled table that --data names "
          "(SST-2), whose texts are the raw text.",
    rule="With 100 labelled texts accuracy is higher from pre-training, by the whole interval.",
    cost="15 minutes, more with --data",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
