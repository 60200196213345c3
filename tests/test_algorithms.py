"""Algorithmic problems by their definitions, the three ways of asking them by hand, and scores by hand."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from allyouneed.data import scan
from allyouneed.data.algorithms import BLANK, DIGITS, FIRST, PROBLEMS, Example, drawn_lengths, example, problem_named
from allyouneed.errors import UserError
from allyouneed.models.catalogue import CATALOGUE
from allyouneed.models.sandwich import SandwichConfig, language_model, translator
from allyouneed.models.universal import UniversalConfig
from allyouneed.models.universal import tagger as universal_tagger
from allyouneed.tasks.algorithm import AlgorithmTask, Practice
from allyouneed.tasks.algorithm_forms import FORMS, Asked
from allyouneed.tasks.cost import hidden_and_cost

SCAN_DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "scan"
each_problem = pytest.mark.parametrize("name", PROBLEMS)


def asked(name: str, *lengths: int, split: str = "train") -> Asked:
    examples = [example(name, 1, split, i, length) for i, length in enumerate(lengths)]  # type: ignore[arg-type]
    return Asked(problem_named(name), examples, list(lengths))


def number(ids: np.ndarray) -> int:
    """Digits, the lowest first."""
    return int("".join(DIGITS[i - FIRST] for i in reversed(ids)))


# ---- problems


@each_problem
@pytest.mark.parametrize("length", [3, 4, 9, 20, 33])
def test_answers_are_right(name: str, length: int) -> None:
    problem = problem_named(name)
    for index in range(20):
        question, answer = example(name, 7, "train", index, length)
        assert len(answer) == problem.answered(length)
        assert max(len(question), len(answer)) <= problem.places(length)
        assert min(*question, *answer) >= FIRST and max(*question, *answer) < problem.vocab_size
        if name == "scan":
            actions = {c.words: c.actions for c in scan.by_length()[length]}
            assert problem.read(answer).split() == list(actions[tuple(problem.read(question).split())])
            continue
        if name in ("add", "multiply"):
            middle = len(question) // 2
            assert problem.read(question[middle : middle + 1]) == {"add": "+", "multiply": "*"}[name]
            one, two = number(question[:middle]), number(question[middle + 1 :])
            assert number(answer) == (one + two if name == "add" else one * two)
            continue
        q = question.tolist()
        right = {"copy": q, "reverse": q[::-1], "sort": sorted(q), "duplicate": q + q}
        assert answer.tolist() == right[name]


@each_problem
def test_examples_are_a_pure_function(name: str) -> None:
    first = example(name, 1, "train", 5, 20)
    again = example(name, 1, "train", 5, 20)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for other in ((2, "train", 5), (1, "dev", 5), (1, "train", 6)):
        assert not np.array_equal(example(name, *other, 20).question, first.question)  # type: ignore[arg-type]


def test_long_numbers_carry_all_the_way() -> None:
    for name in ("add", "multiply"):
        question, answer = example(name, 1, "test", 0, 2001)
        one, two = number(question[:1000]), number(question[1001:])
        assert number(answer) == (one + two if name == "add" else one * two)


def test_lengths_that_cannot_be() -> None:
    with pytest.raises(UserError, match="there is no problem 'sorting'; choose one of copy, reverse"):
        problem_named("sorting")
    with pytest.raises(UserError, match="there is no add of length 2; the shortest is 3"):
        example("add", 1, "train", 0, 2)
    with pytest.raises(UserError, match="there is no scan of length 23; there are 1, 2, 3"):
        example("scan", 1, "train", 0, 23)
    with pytest.raises(UserError, match="there is no multiply of length 2 or less"):
        drawn_lengths("multiply", 1, "train", 0, 10, 2)


def test_lengths_are_drawn_alike_up_to_the_longest() -> None:
    drawn = drawn_lengths("add", 1, "train", 0, 20_000, 12)
    lengths, counts = np.unique(drawn, return_counts=True)
    assert lengths.tolist() == list(range(3, 13)) and abs(counts / 2000 - 1).max() < 0.1
    assert not np.array_equal(drawn, drawn_lengths("add", 1, "train", 1, 20_000, 12))


# ---- SCAN


@pytest.mark.parametrize(
    "words, actions",
    [
        ("jump", "I_JUMP"),
        ("turn left twice", "I_TURN_LEFT I_TURN_LEFT"),
        ("walk opposite right", "I_TURN_RIGHT I_TURN_RIGHT I_WALK"),
        ("turn around left", "I_TURN_LEFT I_TURN_LEFT I_TURN_LEFT I_TURN_LEFT"),
        ("look around right", "I_TURN_RIGHT I_LOOK I_TURN_RIGHT I_LOOK I_TURN_RIGHT I_LOOK I_TURN_RIGHT I_LOOK"),
        ("run after walk thrice", "I_WALK I_WALK I_WALK I_RUN"),
        ("run left and jump", "I_TURN_LEFT I_RUN I_JUMP"),
    ],
)
def test_commands_by_hand(words: str, actions: str) -> None:
    """From the paper's figures 1 and 7."""
    assert actions in [" ".join(c.actions) for c in scan.commands() if " ".join(c.words) == words]


def test_how_many_commands_there_are() -> None:
    """20,910; those of up to 22 actions are the 16,990 on which the paper trains to test on longer ones."""
    lengths = {length: len(commands) for length, commands in scan.by_length().items()}
    assert sum(lengths.values()) == 20_910 and max(lengths) == 48
    assert sum(count for length, count in lengths.items() if length <= 22) == 16_990
    assert max(len(c.words) for c in scan.commands()) == scan.LONGEST_COMMAND
    assert {w for c in scan.commands() for w in c.words} == set(scan.WORDS)


@pytest.mark.skipif(not SCAN_DATA.exists(), reason=f"no real SCAN at {SCAN_DATA}")
def test_the_grammar_makes_the_published_commands() -> None:
    with gzip.open(SCAN_DATA / "tasks.txt.gz", "rt", encoding="utf-8") as lines:
        published = dict(line.strip().removeprefix("IN: ").split(" OUT: ") for line in lines)
    assert {" ".join(c.words): " ".join(c.actions) for c in scan.commands()} == published


# ---- forms


def ids_of(name: str, text: str) -> list[int]:
    names = {"<pad>": 0, "<s>": 1, "</s>": 2, "_": BLANK}
    symbols = problem_named(name).symbols
    return [names[w] if w in names else FIRST + symbols.index(w) for w in text.split()]


def shown(name: str, batch: Any) -> list[list[str]]:
    return [[problem_named(name).read(row) for row in tensor] for tensor in batch]


def by_hand() -> Asked:
    """12 + 34 = 046 and 5 + 6 = 11, lowest digits first, with room for 6 and 3 places."""
    pairs = [("2 1 + 4 3", "6 4 0"), ("5 + 6", "1 1")]
    examples = [Example(*(np.array(ids_of("add", side)) for side in pair)) for pair in pairs]
    return Asked(problem_named("add"), examples, [6, 3])


def test_a_tagger_is_asked_in_place() -> None:
    """Blanks up to the length, one end token where the answer leaves a place for it, and nothing after it."""
    questions, answers = shown("add", FORMS["algorithm"].batch(by_hand()))
    assert questions == ["2 1 + 4 3 _", "5 + 6 <pad> <pad> <pad>"]
    assert answers == ["6 4 0 </s> <pad> <pad>", "1 1 </s> <pad> <pad> <pad>"]
    full = FORMS["algorithm"].batch(asked("reverse", 4))
    assert full.answer[0].tolist() == full.ids[0].tolist()[::-1]  # no place for an end


def test_a_translator_is_asked_aside() -> None:
    source, written, answer = shown("add", FORMS["translation"].batch(by_hand()))
    assert source == ["2 1 + 4 3 </s>", "5 + 6 </s> <pad> <pad>"]
    assert written == ["<s> 6 4 0", "<s> 1 1 <pad>"]
    assert answer == ["6 4 0 </s>", "1 1 </s> <pad>"]


def test_a_language_model_is_asked_onwards() -> None:
    ids, answer = shown("add", FORMS["language-model"].batch(by_hand()))
    assert ids == ["<s> 2 1 + 4 3 _ 6 4 0", "<s> 5 + 6 _ 1 1 <pad> <pad> <pad>"]
    assert answer[0] == "<pad> <pad> <pad> <pad> <pad> <pad> 6 4 0 </s>"
    assert answer[1] == "<pad> <pad> <pad> <pad> 1 1 </s> <pad> <pad> <pad>"


SMALL = {"dim": 16, "heads": 2, "ffn_dim": 32, "dropout": 0.0}


def model_for(form: str, name: str, **changes: Any) -> nn.Module:
    vocab = problem_named(name).vocab_size
    if form == "algorithm":
        return universal_tagger(UniversalConfig(vocab_size=vocab, **{**SMALL, "steps": 2, **changes}))
    build = translator if form == "translation" else language_model
    return build(SandwichConfig(vocab_size=vocab, depth=1, **{**SMALL, **changes}))


@each_problem
@pytest.mark.parametrize("form", FORMS)
def test_the_weight_is_what_the_loss_sums_over(name: str, form: str) -> None:
    task = AlgorithmTask(Practice(name, 12, batch=5, epoch=40), FORMS[form])
    for batch in task.plan(3):
        answer = task.collate(batch, 3)[-1]
        assert task.weight(batch, 3) == int((answer != 0).sum())


@pytest.mark.parametrize("form", FORMS)
def test_every_form_learns_and_answers(form: str) -> None:
    """Reversing up to two digits, with the task's own batches."""
    task = AlgorithmTask(Practice("reverse", 2, batch=64, epoch=16_000, cases=40), FORMS[form])
    torch.manual_seed(2)
    model = model_for(form, "reverse", dim=32)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    before = task.validate(model)
    for batch in task.plan(0)[:120]:
        loss, _ = task.loss(model.train(), task.collate(batch, 0), "model")
        optimizer.zero_grad()
        (loss / task.weight(batch, 0)).backward()
        optimizer.step()
    after = task.validate(model)
    assert before["symbols"] < 0.7 and after["symbols"] > 0.9, (before, after)
    assert set(after) == {"exact", "symbols"} and after["exact"] > before["exact"]


# ---- batches


@each_problem
def test_an_epochs_batches(name: str) -> None:
    """Every example once, each batch of one power of two from 8 on; the same whenever asked, others in the next epoch."""
    task = AlgorithmTask(Practice(name, 40, batch=16, epoch=500), FORMS["algorithm"])
    plan = task.plan(2)
    assert sorted(np.concatenate(plan).tolist()) == list(range(500))
    assert max(map(len, plan)) <= 16
    for batch in plan:
        places = [task.problem.places(int(n)) for n in task.lengths(2)[batch]]
        assert len({(max(p, 8) - 1).bit_length() for p in places}) == 1
    again = AlgorithmTask(Practice(name, 40, batch=16, epoch=500), FORMS["algorithm"])
    assert all(np.array_equal(a, b) for a, b in zip(plan, again.plan(2), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(task.collate(plan[0], 2), again.collate(plan[0], 2), strict=True))
    one, other = task.collate(plan[0], 2)[0], task.collate(again.plan(3)[0], 3)[0]
    assert one.shape != other.shape or not torch.equal(one, other)


# ---- scores


class Answers:
    """A form whose model answers what it is told."""

    def __init__(self, *said: str) -> None:
        self.said = list(said)

    def answers(self, model: Any, part: Asked, device: torch.device) -> list[np.ndarray]:
        return [np.array(ids_of("add", self.said.pop(0)), dtype=np.int64) for _ in part.examples]


@pytest.mark.parametrize(
    "said, exact, symbols",
    [
        (("1 1", "6 4 0"), 1.0, 1.0),  # shortest questions come first
        (("1 2", "6 4 0"), 0.5, 4 / 5),
        (("1 1", "6 4"), 0.5, 4 / 5),  # what is missing is wrong
        (("1 1", "6 4 0 0 0"), 0.5, 5 / 7),  # and so is what is too much
        (("", ""), 0.0, 0.0),
    ],
)
def test_scores_by_hand(said: tuple[str, str], exact: float, symbols: float) -> None:
    task = AlgorithmTask(Practice("add", 6), Answers(*said))  # type: ignore[arg-type]
    found = task.accuracy(nn.Linear(1, 1), by_hand())
    assert found == pytest.approx((exact, symbols))


def test_accuracy_by_length_of_a_model_that_knows() -> None:
    """One that copies in place is right on copying at every length and at chance on reversing."""

    class Echo(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, ids: Tensor) -> Tensor:
            return nn.functional.one_hot(ids, 15)

    lengths = (1, 7, 200)
    right = AlgorithmTask(Practice("copy", 8, cases=40), FORMS["algorithm"]).by_length(Echo(), lengths)
    assert right == dict.fromkeys(lengths, (1.0, 1.0))
    wrong = AlgorithmTask(Practice("reverse", 8, cases=40), FORMS["algorithm"]).by_length(Echo(), (200,))
    assert wrong[200].exact == 0 and wrong[200].symbols == pytest.approx(0.1, abs=0.02)


def test_a_ponder_cost_joins_the_loss() -> None:
    """Per token, as the rest of the loss; a model that asks for nothing pays nothing."""
    task = AlgorithmTask(Practice("copy", 8, batch=8, epoch=64), FORMS["algorithm"])
    batch = task.plan(0)[0]
    tensors, weight = task.collate(batch, 0), task.weight(batch, 0)
    model = model_for("algorithm", "copy", steps=4, halting="basic", ponder_weight=0.5).eval()
    total, parts = task.loss(model, tensors, "model")
    _, cost = model.hidden_and_cost(tensors.ids)
    assert cost > 0.5
    torch.testing.assert_close(total, parts["nll"] + weight * cost)
    plain = model_for("algorithm", "copy")
    total, parts = task.loss(plain, tensors, "model")
    torch.testing.assert_close(total, parts["nll"])
    assert hidden_and_cost(plain, tensors.ids)[1] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shuffle_exchange", "residual_shuffle_exchange"])
def test_shuffle_exchange_networks_reverse_what_is_four_times_longer(name: str) -> None:
    """Trained up to 32, tested at 128 (the papers' claim, made small; a minute of one core)."""
    system = CATALOGUE[name]
    model = system.builds["algorithm"](system.config(vocab_size=15, dim=48))
    task = AlgorithmTask(Practice("reverse", 32, batch=32, epoch=48_000, cases=64), FORMS["algorithm"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98))
    for step, batch in enumerate(task.plan(0)[:1200]):
        for part in optimizer.param_groups:
            part["lr"] = 3e-3 * min(1.0, (step + 1) / 50, (1200 - step) / 600)
        loss, _ = task.loss(model.train(), task.collate(batch, 0), "model")
        optimizer.zero_grad()
        (loss / task.weight(batch, 0)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert task.by_length(model, (128,))[128].symbols > 0.98
