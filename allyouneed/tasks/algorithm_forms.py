"""The three ways in which a model can be asked an algorithmic problem, by the builders of the catalogue."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from allyouneed.data.algorithms import BLANK, Example, Problem
from allyouneed.data.batches import TokenStore
from allyouneed.data.subwords import BOS, EOS, PAD
from allyouneed.decoding.greedy import greedy


class Asked(NamedTuple):
    """Examples with the lengths that they were drawn with."""

    problem: Problem
    examples: list[Example]
    lengths: list[int]


class Form(Protocol):
    """How questions enter a model and answers leave it."""

    def counted(self, problem: Problem, length: int) -> int:
        """Tokens that the loss of one example is a sum over."""

    def batch(self, asked: Asked) -> Any:
        """A NamedTuple of what `model.hidden` takes, and at its end what the head is to say (0 where nothing)."""

    def answers(self, model: Any, asked: Asked, device: torch.device) -> list[np.ndarray]:
        """What the model answers, without the end token."""


def padded(rows: Sequence[Sequence[int]]) -> Tensor:  # b n
    return torch.from_numpy(TokenStore.of(rows).padded(np.arange(len(rows))))


def until_end(ids: np.ndarray) -> np.ndarray:
    ends = np.nonzero(ids == EOS)[0]
    return ids[: ends[0]] if len(ends) else ids


class Filled(NamedTuple):
    ids: Tensor  # b n
    answer: Tensor  # b n


class InPlace:
    """A tagger: blanks follow the question up to the places that there are, an end the answer where it leaves some."""

    def counted(self, problem: Problem, length: int) -> int:
        answered = problem.answered(length)
        return answered + (answered < problem.places(length))

    def batch(self, asked: Asked) -> Filled:
        questions, answers = [], []
        for (question, answer), length in zip(asked.examples, asked.lengths, strict=True):
            places = asked.problem.places(length)
            questions.append([*question, *[BLANK] * (places - len(question))])
            answers.append([*answer, *[EOS] * (places > len(answer)), *[PAD] * (places - len(answer) - 1)])
        return Filled(padded(questions), padded(answers))

    def answers(self, model: Any, asked: Asked, device: torch.device) -> list[np.ndarray]:
        said = model(self.batch(asked).ids.to(device)).argmax(-1).cpu().numpy()
        places = [asked.problem.places(length) for length in asked.lengths]
        return [until_end(row[:count]) for row, count in zip(said, places, strict=True)]


class Translated(NamedTuple):
    source: Tensor  # b m, the end token included
    written: Tensor  # b n, begins with the start token
    answer: Tensor  # b n, ends with the end token


class Aside:
    """A translator: the question is the source, the answer the target."""

    def counted(self, problem: Problem, length: int) -> int:
        return problem.answered(length) + 1

    def batch(self, asked: Asked) -> Translated:
        return Translated(
            padded([[*question, EOS] for question, _ in asked.examples]),
            padded([[BOS, *answer] for _, answer in asked.examples]),
            padded([[*answer, EOS] for _, answer in asked.examples]),
        )

    def answers(self, model: Any, asked: Asked, device: torch.device) -> list[np.ndarray]:
        source = padded([[*question, EOS] for question, _ in asked.examples]).to(device)
        return written(model, source, [[] for _ in asked.examples], asked)


class Continued(NamedTuple):
    ids: Tensor  # b n
    answer: Tensor  # b n


class Onwards:
    """A language model: question, one blank, answer; only the answer counts."""

    def counted(self, problem: Problem, length: int) -> int:
        return problem.answered(length) + 1

    def batch(self, asked: Asked) -> Continued:
        return Continued(
            padded([[BOS, *question, BLANK, *answer] for question, answer in asked.examples]),
            padded([[*[PAD] * (len(question) + 1), *answer, EOS] for question, answer in asked.examples]),
        )

    def answers(self, model: Any, asked: Asked, device: torch.device) -> list[np.ndarray]:
        nothing = torch.full((len(asked.examples), 1), PAD, device=device)
        return written(model, nothing, [[*question, BLANK] for question, _ in asked.examples], asked)


def written(model: Any, source: Tensor, prompts: list[list[int]], asked: Asked) -> list[np.ndarray]:
    """Greedy answers; one symbol more than is right may be written, which is as wrong as many."""
    limits = [len(p) + asked.problem.answered(n) + 1 for p, n in zip(prompts, asked.lengths, strict=True)]
    found = greedy(model, source, max_lengths=limits, prefix=[list(map(int, prompt)) for prompt in prompts])
    return [np.array(h.ids[len(prompt) :], dtype=np.int64) for h, prompt in zip(found, prompts, strict=True)]


FORMS: dict[str, Form] = {"algorithm": InPlace(), "translation": Aside(), "language-model": Onwards()}
"""By the builder that makes the model."""
