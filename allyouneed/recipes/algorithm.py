"""Algorithms from settings to a run: problems of some lengths in training, of others in the test."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from allyouneed.data.algorithm_settings import AlgorithmSettings
from allyouneed.data.algorithms import FIRST, Example, drawn_lengths, example, problem_named
from allyouneed.errors import UserError
from allyouneed.nn.heads import Smoothing
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.job import Kind, Prepared, build, form_of
from allyouneed.recipes.look import look_at_algorithm
from allyouneed.settings import override
from allyouneed.tasks.algorithm import Accuracy, AlgorithmTask, Practice
from allyouneed.tasks.algorithm_forms import FORMS, Asked
from allyouneed.tracing.report import picture_of_learning
from allyouneed.tracing.trace import Trace
from allyouneed.training.checkpoint import write_text
from allyouneed.training.memory import keep_freed_memory
from allyouneed.training.settings import TrainingSettings

KIND = Kind(
    task="algorithm",
    title="algorithms",
    groups={"data": AlgorithmSettings()},
    system="residual_shuffle_exchange",
    builds=("algorithm", "translation", "language-model"),
    training=TrainingSettings(label_smoothing=0.0, learning_rate=3e-3, warmup_steps=50, ema_decay=0.99),
    fitted=frozenset({"vocab_size", "positions_length"}),
)


def prepare(settings: Any, folder: Path, resuming: bool) -> Prepared:
    """Nothing is read: a problem is a function of its number. The run folder is whole but for weights after it."""
    data, problem = settings.data, problem_named(settings.data.problem)
    drawn_lengths(data.problem, 0, "dev", 0, 1, data.train_length)  # refuses a length that no problem has
    for length in data.test_lengths:
        example(data.problem, 0, "test", 0, length)
    settings = fitted(settings)
    if not resuming:
        run_folder.save_settings(settings, folder)
    notes = [f"{data.problem}: {problem.says}; trained up to length {data.train_length}, "
             f"tested at {', '.join(map(str, data.test_lengths))}"]  # fmt: skip
    return Prepared(settings, task_of(settings), notes)


def fitted(settings: Any) -> Any:
    """The settings with the size of the problem's vocabulary, and learned positions as far as the longest test."""
    problem, data = problem_named(settings.data.problem), settings.data
    words = [f"model.vocab_size={problem.vocab_size}"]
    if "positions_length" in type(settings.model).model_fields:
        longest = 2 * max(problem.places(length) for length in (data.train_length, *data.test_lengths)) + 3
        words.append(f"model.positions_length={max(longest, settings.model.positions_length)}")
    return override(settings, words)


def task_of(settings: Any) -> AlgorithmTask:
    data, training = settings.data, settings.training
    practice = Practice(data.problem, data.train_length, data.batch, data.epoch, data.cases, training.seed)
    vocab_size = problem_named(data.problem).vocab_size
    smoothing = Smoothing.named(training.label_smoothing_convention, training.label_smoothing, vocab_size)
    return AlgorithmTask(practice, FORMS[form_of(KIND, settings.system)], smoothing)


class AlgorithmRun:
    """A model that has learnt an algorithm: it answers questions, and is tested at any length."""

    def __init__(self, folder: str | Path, device: str | None = None):
        keep_freed_memory()
        self.folder = Path(folder)
        self.settings = run_folder.stored_settings(self.folder, KIND)
        self.form, self.task = form_of(KIND, self.settings.system), task_of(self.settings)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        model = run_folder.load_weights(build(KIND, self.settings), self.folder / "model.safetensors")
        self.model: Any = model.to(self.device)

    def by_length(self, lengths: Sequence[int] | None = None) -> dict[int, Accuracy]:
        """Accuracy at these lengths, or at those that the run was to be tested at."""
        return self.task.by_length(self.model, lengths or self.settings.data.test_lengths)

    @torch.no_grad()
    def answer(self, questions: Sequence[str]) -> list[str]:
        """Answers to questions written as symbols with spaces between: `3 1 2`, or `jump twice`."""
        problem = self.task.problem
        examples = [Example(self.ids(question), np.zeros(0, dtype=np.int64)) for question in questions]
        rooms = [problem.room(len(question)) for question, _ in examples]
        asked = Asked(problem, examples, rooms)
        return [problem.read(said) for said in self.task.form.answers(self.model, asked, self.device)]

    def look(self, question: str) -> Trace:
        """What the model does with a question, as a trace."""
        return look_at_algorithm(self, question)

    def ids(self, question: str) -> np.ndarray:
        """A question as the model reads it. UserError for a symbol that the problem does not have."""
        problem, words = self.task.problem, question.split()
        foreign = [word for word in words if word not in problem.symbols]
        if foreign or not words:
            said = f"the question {question[:40]!r} holds {foreign[0]!r}" if foreign else "the question is empty"
            raise UserError(f"{said}; {self.settings.data.problem} is written in {' '.join(problem.symbols)}")
        return np.array([problem.symbols.index(word) + FIRST for word in words])


def evaluate(folder: Path, data: Path | None = None, split: str = "test") -> dict[str, Any]:
    """Scores a run at its test lengths; `exact` and `symbols` are the means over them."""
    if data is not None or split != "test":
        raise UserError("problems are drawn and not read from files; leave out --data, and --split is test")
    run = AlgorithmRun(folder)
    found = run.by_length()
    means = np.mean([list(accuracy) for accuracy in found.values()], axis=0).tolist()
    named = {f"length_{n}_{name}": share for n, a in found.items() for name, share in a._asdict().items()}
    return {"problem": run.settings.data.problem, **Accuracy(*means)._asdict(), **named}


def conclude(out: Path, task: AlgorithmTask) -> list[str]:
    """Tests the best weights by length, writes `lengths.json` and the learning curve; returns what to say."""
    picture_of_learning(out)
    run = AlgorithmRun(out)
    data, found = run.settings.data, run.by_length()
    facts = {
        "problem": data.problem,
        "train_length": data.train_length,
        "cases": data.cases,
        "lengths": {str(n): accuracy._asdict() for n, accuracy in found.items()},
    }
    write_text(out / "lengths.json", json.dumps(facts, indent=1))
    rows = [f"length {n:>6,}: {a.exact:7.2%} of answers right, {a.symbols:7.2%} of symbols" for n, a in found.items()]
    return [*rows, f"how it learnt: {out}/learning_curve.svg", f"score: allyouneed evaluate {shlex.quote(str(out))}"]
