"""Algorithms: answers that must be right to the last symbol, and at lengths that were never trained."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from allyouneed.data.algorithms import Split, drawn_lengths, example, problem_named
from allyouneed.nn.heads import NO_SMOOTHING, Smoothing
from allyouneed.tasks.algorithm_forms import Asked, Form
from allyouneed.tasks.cost import hidden_and_cost
from allyouneed.tasks.task import Group, trainable


class Practice(NamedTuple):
    """What is asked, and how much of it."""

    problem: str
    longest: int  # training lengths go up to this one
    batch: int = 64  # examples
    epoch: int = 12_800  # examples in what counts as an epoch; no example comes twice
    cases: int = 256  # examples of a validation, and of each length of a test
    seed: int = 1


class Accuracy(NamedTuple):
    """Shares between 0 and 1."""

    exact: float  # answers that are right as a whole
    symbols: float  # symbols that are right, of those that the answer has or was given


class AlgorithmTask:
    """See `Task`. `form` is how the model is asked: see `FORMS`.

    A batch holds lengths of one power of two, so that what a network that pads to powers of two sees in training is
    what it is judged by.
    """

    metric = "symbols"  # counts progress long before the first whole answer is right
    players: Sequence[str] = ("model",)

    def __init__(self, practice: Practice, form: Form, smoothing: Smoothing = NO_SMOOTHING):
        self.practice, self.form, self.smoothing = practice, form, smoothing
        self.problem = problem_named(practice.problem)
        self._lengths: dict[int, np.ndarray] = {}

    def lengths(self, epoch: int) -> np.ndarray:
        """The lengths of an epoch's examples; those of the last epoch asked for are kept."""
        if epoch not in self._lengths:
            p = self.practice
            self._lengths = {epoch: drawn_lengths(p.problem, p.seed, "train", epoch, p.epoch, p.longest)}
        return self._lengths[epoch]

    def plan(self, epoch: int) -> list[np.ndarray]:
        lengths, draw = self.lengths(epoch), np.random.default_rng([self.practice.seed, epoch])
        widths = np.array([self.width(int(length)) for length in lengths])
        batches = []
        for width in np.unique(widths):
            same = draw.permutation(np.nonzero(widths == width)[0])
            batches += [same[i : i + self.practice.batch] for i in range(0, len(same), self.practice.batch)]
        return [batches[i] for i in draw.permutation(len(batches))]

    def width(self, length: int) -> int:
        """The power of two that has room for problems of this length, at least 8."""
        return 1 << (max(8, self.problem.places(length)) - 1).bit_length()

    def weight(self, batch: np.ndarray, epoch: int) -> int:
        return sum(self.form.counted(self.problem, int(length)) for length in self.lengths(epoch)[batch])

    def tokens(self, batch: np.ndarray, epoch: int) -> int:
        return self.weight(batch, epoch) + sum(
            self.problem.places(int(length)) for length in self.lengths(epoch)[batch]
        )

    def collate(self, batch: np.ndarray, epoch: int) -> Any:
        first = epoch * self.practice.epoch
        return self.form.batch(
            self.asked("train", [first + int(i) for i in batch], self.lengths(epoch)[batch].tolist())
        )

    def asked(self, split: Split, indices: Sequence[int], lengths: list[int]) -> Asked:
        p = self.practice
        examples = [example(p.problem, p.seed, split, i, n) for i, n in zip(indices, lengths, strict=True)]
        return Asked(self.problem, examples, lengths)

    def parameters(self, model: nn.Module, player: str) -> list[Group]:
        return trainable(model)

    def loss(self, model: nn.Module, batch: Any, player: str) -> tuple[Tensor, dict[str, Tensor]]:
        *inputs, answer = batch
        hidden, cost = hidden_and_cost(model, *inputs)
        result = model.head.loss(hidden, answer, self.smoothing)  # type: ignore[union-attr, operator]
        total = result.loss + cost * result.tokens
        return total, {"loss": total.detach(), "nll": result.nll}

    def validate(self, model: nn.Module, quick: bool = False) -> dict[str, float]:
        """Accuracy at the lengths of training."""
        p = self.practice
        lengths = drawn_lengths(p.problem, p.seed, "dev", 0, p.cases, p.longest).tolist()
        return self.accuracy(model, self.asked("dev", range(p.cases), lengths))._asdict()

    def by_length(self, model: nn.Module, lengths: Sequence[int]) -> dict[int, Accuracy]:
        """Accuracy at each of these lengths, on `cases` examples that are the same for every model."""
        cases = range(self.practice.cases)
        return {n: self.accuracy(model, self.asked("test", cases, [n] * len(cases))) for n in lengths}

    @torch.no_grad()
    def accuracy(self, model: nn.Module, asked: Asked, tokens: int = 16_384) -> Accuracy:
        """Answers are given for so many `tokens` at a time, shortest questions first."""
        model.eval()
        device = next(model.parameters()).device
        order = np.argsort(asked.lengths, kind="stable")
        exact = right = total = start = 0
        while start < len(order):
            rows = self._group(asked, order[start:], tokens)
            part = Asked(asked.problem, [asked.examples[i] for i in rows], [asked.lengths[i] for i in rows])
            said = self.form.answers(model, part, device)
            for answer, (_, wanted) in zip(said, part.examples, strict=True):
                shared = min(len(answer), len(wanted))
                matches = int((answer[:shared] == wanted[:shared]).sum())
                longer = max(len(answer), len(wanted))
                exact, right, total = exact + (matches == longer), right + matches, total + longer
            start += len(rows)
        return Accuracy(exact / len(order), right / max(total, 1))

    def _group(self, asked: Asked, order: np.ndarray, tokens: int) -> list[int]:
        """As many of the next examples as there is room for, of one power of two, as in training."""
        widths = [self.width(asked.lengths[i]) for i in order]
        same = [int(i) for i, width in zip(order, widths, strict=True) if width == widths[0]]
        return same[: max(1, tokens // widths[0])]
