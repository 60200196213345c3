"""Algorithmic problems: questions and answers of any length, each a pure function of (seed, split, index, length).

Ids 0 to 3 are the house's (pad, start, end, unknown); 4 is the blank, a place of a question that waits for its answer;
a problem's symbols follow from 5 on, in the order of `Problem.symbols`. Numbers are written with the lowest digit first,
so that a carry travels with the text.

The length of a problem is the room that it has, the places of a model that answers in place: a question or an answer
may be shorter. Of SCAN it is the length of the answer.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from allyouneed.data import scan
from allyouneed.errors import UserError

BLANK, FIRST = 4, 5
DIGITS = tuple("0123456789")
Name = Literal["copy", "reverse", "sort", "add", "multiply", "duplicate", "scan"]
Split = Literal["train", "dev", "test"]


class Example(NamedTuple):
    question: np.ndarray  # int64 ids
    answer: np.ndarray


class Problem(NamedTuple):
    """What is asked. `draw` gives question and answer as numbers of symbols; both sizes follow from the length."""

    says: str
    symbols: tuple[str, ...]
    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
    answered: Callable[[int], int] = lambda length: length  # symbols of the answer
    places: Callable[[int], int] = lambda length: length  # what the longer of the two may need
    weight: Callable[[int], int] = lambda length: 1  # how often this length is drawn; 0: there is none of it
    room: Callable[[int], int] = lambda asked: asked  # the length that a question of so many symbols needs

    @property
    def vocab_size(self) -> int:
        return FIRST + len(self.symbols)

    def lengths(self, longest: int) -> list[int]:
        """The lengths up to this one that there are."""
        return [length for length in range(1, longest + 1) if self.weight(length)]

    def read(self, ids: Sequence[int] | np.ndarray) -> str:
        """Ids as people read them."""
        special = {0: "<pad>", 1: "<s>", 2: "</s>", 3: "<unk>", BLANK: "_"}
        return " ".join(special[i] if i < FIRST else self.symbols[i - FIRST] for i in map(int, ids))


def example(name: str, seed: int, split: Split, index: int, length: int) -> Example:
    """The problem with this number; train, dev and test draw from streams of their own."""
    problem = problem_named(name)
    if not problem.weight(length):
        raise UserError(f"there is no {name} of length {length}; {_possible(problem)}")
    stream = ("train", "dev", "test").index(split)
    question, answer = problem.draw(np.random.default_rng([seed, stream, index, length]), length)
    return Example(question + FIRST, answer + FIRST)


def drawn_lengths(name: str, seed: int, split: Split, epoch: int, count: int, longest: int) -> np.ndarray:
    """The lengths of an epoch's examples, each up to `longest`, all alike likely (of SCAN, all commands)."""
    problem = problem_named(name)
    lengths = problem.lengths(longest)
    if not lengths:
        raise UserError(f"there is no {name} of length {longest} or less; {_possible(problem)}")
    weights = np.array([problem.weight(length) for length in lengths], dtype=float)
    stream = ("train", "dev", "test").index(split)
    return np.random.default_rng([seed, stream, epoch]).choice(lengths, size=count, p=weights / weights.sum())


def problem_named(name: str) -> Problem:
    if name not in PROBLEMS:
        raise UserError(f"there is no problem {name!r}; choose one of {', '.join(PROBLEMS)}")
    return PROBLEMS[name]


def _possible(problem: Problem) -> str:
    lengths = problem.lengths(64)
    return f"the shortest is {lengths[0]}" if problem.weight(10**6) else f"there are {', '.join(map(str, lengths))}"


# ---- the problems


def _digits(draw: np.random.Generator, count: int) -> np.ndarray:
    return draw.integers(0, 10, count)


def _copy(draw: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    text = _digits(draw, length)
    return text, text


def _reverse(draw: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    text = _digits(draw, length)
    return text, text[::-1]


def _sort(draw: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    text = _digits(draw, length)
    return text, np.sort(text)


def _duplicate(draw: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    text = _digits(draw, length // 2)
    return text, np.concatenate([text, text])


def _carried(columns: np.ndarray, count: int) -> np.ndarray:
    """The decimal digits, lowest first, of a number whose digits may still be larger than nine."""
    digits, carry = np.zeros(count, dtype=np.int64), 0
    for i in range(count):
        carry += int(columns[i]) if i < len(columns) else 0
        digits[i], carry = carry % 10, carry // 10
    return digits


def _add(draw: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    count = (length - 1) // 2
    one, two = _digits(draw, count), _digits(draw, count)
    return np.concatenate([one, [10], two]), _carried(one + two, count + 1)


def _multiply(draw: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    count = (length - 1) // 2
    one, two = _digits(draw, count), _digits(draw, count)
    return np.concatenate([one, [10], two]), _carried(np.convolve(one, two), 2 * count)


_SCAN = (*scan.WORDS, *scan.ACTIONS)


def _scan(draw: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    commands = scan.by_length()[length]
    words, actions = commands[draw.integers(len(commands))]
    return np.array([_SCAN.index(word) for word in words]), np.array([_SCAN.index(action) for action in actions])


PROBLEMS = {
    "copy": Problem("the same again", DIGITS, _copy),
    "reverse": Problem("the same backwards", DIGITS, _reverse),
    "sort": Problem("the same in order", DIGITS, _sort),
    "duplicate": Problem(
        "the same twice; the question fills half of the length", DIGITS, _duplicate,
        answered=lambda length: length // 2 * 2, weight=lambda length: length >= 2, room=lambda asked: 2 * asked,
    ),
    "add": Problem(
        "the sum of two numbers of as many digits as have room beside the +, with one digit more", (*DIGITS, "+"), _add,
        answered=lambda length: (length - 1) // 2 + 1, weight=lambda length: length >= 3,
    ),
    "multiply": Problem(
        "the product of two numbers, with all their digits together", (*DIGITS, "*"), _multiply,
        answered=lambda length: (length - 1) // 2 * 2, weight=lambda length: length >= 3,
    ),
    "scan": Problem(
        "the actions that a command of SCAN means", _SCAN, _scan,
        places=lambda length: max(length, scan.LONGEST_COMMAND),
        weight=lambda length: len(scan.by_length().get(length, ())),
        room=lambda asked: max(scan.by_length()),
    ),
}  # fmt: skip
