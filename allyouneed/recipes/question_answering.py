"""Answering questions from settings to a run: questions about passages, a body to begin from, and the run opened for use."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from allyouneed.data.encoder_settings import QuestionSettings
from allyouneed.data.questions import Question, QuestionCorpus, read_questions
from allyouneed.data.tables import json_record
from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes import starting
from allyouneed.recipes.answers import input_lines
from allyouneed.recipes.encoder_run import EncoderRun, save_subwords
from allyouneed.recipes.job import Kind, Prepared
from allyouneed.recipes.look import look_at_question
from allyouneed.recipes.starting import settled
from allyouneed.settings import override
from allyouneed.tasks.answer_scores import answer_scores
from allyouneed.tasks.question_answering import Found, QuestionTask, Reading, Windows, read
from allyouneed.tasks.tuning import TuningSettings
from allyouneed.tracing.report import picture_of_learning
from allyouneed.tracing.trace import Trace
from allyouneed.training.checkpoint import write_text
from allyouneed.training.settings import TrainingSettings

KIND = Kind(
    task="question-answering",
    title="question answering",
    groups={"data": QuestionSettings(), "tuning": TuningSettings()},
    system="bert",
    training=TrainingSettings(
        learning_rate=3e-4, warmup_steps=100, eps=1e-6, beta2=0.999, label_smoothing=0.0, ema_decay=0.0
    ),
    fitted=frozenset({"vocab_size", "positions_length", "pad"}),
    unlimited=("training.max_epochs=3", "training.patience=2"),
)


def prepare(settings: Any, folder: Path, resuming: bool) -> Prepared:
    """Reads the questions; the pieces are those of what the run begins from, or are learnt. Then the folder is whole."""
    if settings.training.label_smoothing:
        raise UserError("training.label_smoothing means nothing to places in a passage; set it to 0")
    corpus = read_data(settings.data)
    facts = {"train": len(corpus.train), "val": len(corpus.val), "sha256": fingerprint(corpus)}
    if resuming:
        run_folder.check_same_data(folder, facts, "training questions")
    texts = {text: None for question in corpus.train for text in (question.context, question.question)}
    settings, subwords = settled(KIND, settings, folder, resuming, lambda: texts)
    unanswered = sum(not question.answers for question in corpus.train)
    settings = override(settings, [f"data.answerless={str(unanswered > 0).lower()}"])
    reading = reading_of(settings)
    train, val = (Windows.of(part, subwords, reading) for part in (corpus.train, corpus.val))
    data, training = settings.data, settings.training
    task = QuestionTask(
        train, val, corpus.val, reading, data.batch_tokens, training.seed, subwords.marks.pad, settings.tuning
    )
    if not resuming:
        save_subwords(subwords, folder)
        write_text(folder / "data.json", json.dumps(facts, indent=1))
        run_folder.save_settings(settings, folder)
    return Prepared(settings, task, _notes(corpus, train, unanswered))


def _notes(corpus: QuestionCorpus, train: Windows, unanswered: int) -> list[str]:
    notes = [
        f"{len(corpus.train):,} training questions in {len(train.windows):,} windows, {len(corpus.val):,} for validation"
        + (f"; {unanswered:,} have no answer" if unanswered else "")
    ]
    held = {window.question for window, span in zip(train.windows, train.spans, strict=True) if span[0]}
    lost = sum(bool(question.answers) and row not in held for row, question in enumerate(corpus.train))
    notes += [f"warning: {lost:,} answers fit into no window and are not learnt; raise data.length"] if lost else []
    return notes


def reading_of(settings: Any) -> Reading:
    data = settings.data
    return Reading(data.length, data.stride, data.question_length, data.answer_length, data.answerless)


def read_data(data: QuestionSettings) -> QuestionCorpus:
    """The questions that the settings name; with `max_rows` a part of the training ones."""
    if data.path is None:
        raise UserError(
            "question answering needs questions: give --data SQuAD's JSON, a JSONL file, or a folder of them"
        )
    corpus = read_questions(data.path, data.split_seed)
    if data.max_rows is None or data.max_rows >= len(corpus.train):
        return corpus
    order = np.random.default_rng(data.split_seed).permutation(len(corpus.train))
    return corpus._replace(train=[corpus.train[i] for i in sorted(order[: data.max_rows].tolist())])


def fingerprint(corpus: QuestionCorpus) -> str:
    digest = hashlib.sha256()
    for question in [*corpus.train, *corpus.val]:
        digest.update(json.dumps(question).encode() + b"\0")
    return digest.hexdigest()


def begin(model: nn.Module, settings: Any) -> list[str]:
    """The body's weights of what the run begins from."""
    return starting.begin(KIND, model, settings)


class QuestionRun(EncoderRun):
    """A trained reader: finds the answer to a question in a passage."""

    kind = KIND

    def answers(self, questions: Sequence[Question]) -> list[list[Found]]:
        """For each question its candidates, the best first; passages of any length are read in windows."""
        if not questions:
            return []
        windows = Windows.of(questions, self.subwords, self.reading)
        return read(self.model, questions, windows, self.reading, self.subwords.marks.pad)

    @property
    def reading(self) -> Reading:
        """How it cuts passages, and chooses answers."""
        return reading_of(self.settings)

    def look(self, text: str) -> Trace:
        """What the model does with a question and, after a tab, a passage, as a trace with the likeliest answers."""
        return look_at_question(self, text)

    def predict(self, questions: Sequence[str], contexts: Sequence[str]) -> list[Found]:
        """The answer to each question in the passage beside it; an empty text says that there is none."""
        asked = [Question(*pair, (), ()) for pair in zip(questions, contexts, strict=True)]
        return [found[0] for found in self.answers(asked)]


def evaluate(folder: Path, data: Path | None = None, split: str = "test") -> dict[str, Any]:
    """Exact match and F1 of the answers to a split's questions."""
    run = QuestionRun(folder)
    place = run.settings.data if data is None else override(run.settings, [f"data.path={data}"]).data
    corpus = read_data(place)
    splits = {"train": corpus.train, "val": corpus.val, **corpus.tests}
    if split not in splits:
        raise UserError(f"the data has no split {split!r}; its splits: {', '.join(splits)}")
    questions = splits[split]
    found = [best[0].text for best in run.answers(questions)]
    scores = answer_scores(found, [question.answers for question in questions])
    return {**scores, "questions": len(questions), "split": split}


def predict(run: QuestionRun, inputs: Sequence[str], top_k: int, as_json: bool) -> list[str]:
    """A line of answer for each question: a tab parts question and passage, or a line is JSON with both."""
    questions = [_question(number, line) for number, line in enumerate(input_lines(inputs), 1)]
    return [_line(found[:top_k], as_json) for found in run.answers(questions)]


def _question(number: int, line: str) -> Question:
    if line.lstrip().startswith("{"):
        record = json_record(Path("the input"), number, line)
        parts = [record.get(key) for key in ("question", "context")]
    else:
        parts = list(line.split("\t", 1))
    if len(parts) != 2 or not all(isinstance(part, str) and part.strip() for part in parts):
        raise UserError(
            f"line {number} of the input is no question about a passage; write both with a tab between them, or "
            '{"question": "...", "context": "..."}'
        )
    return Question(str(parts[0]), str(parts[1]), (), ())


def _line(found: Sequence[Found], as_json: bool) -> str:
    if as_json:
        return json.dumps([answer._asdict() for answer in found], ensure_ascii=False)
    return "\t".join(f"{answer.text}\t{answer.probability:.4f}" for answer in found)


def conclude(out: Path, task: QuestionTask) -> list[str]:
    """Draws the learning curve; returns what to say."""
    picture_of_learning(out)
    return [
        f"how it learnt: {out}/learning_curve.svg",
        f"answer:   allyouneed predict {out} FILE   (a line: question, tab, passage)",
        f"score:    allyouneed evaluate {out} --split test",
    ]
