"""Decoding: lengths, prefixes and wrong demands."""

import itertools
import math
from typing import Any

import pytest
import torch
from decoding_models import BOS, EOS, PAD, Fixed, Table, close, exhaustive, sources
from torch import Tensor

from allyouneed.decoding.beam import beam
from allyouneed.decoding.greedy import greedy
from allyouneed.decoding.hypotheses import Hypothesis
from allyouneed.decoding.penalties import GNMT
from allyouneed.decoding.sampling import sample
from allyouneed.decoding.scoring import score
from allyouneed.errors import UserError


def everyone(model: Any, source: Tensor, **limits: Any) -> list[Hypothesis]:
    return [
        *greedy(model, source, **limits),
        *itertools.chain(*beam(model, source, size=4, n_best=2, **limits)),
        *itertools.chain(*sample(model, source, n=2, **limits)),
        *itertools.chain(*sample(model, source, n=2, top_k=3, **limits)),
    ]


def test_pad_bos_and_eos_are_never_produced() -> None:
    model, source = Table(), sources(10)
    model.table[:, [PAD, BOS]] += 4  # a model that would love to
    assert all(token > EOS for h in everyone(model, source, max_lengths=10) for token in h.ids)


def test_lengths_are_respected() -> None:
    source = sources(10)
    assert all(len(h.ids) >= 6 for h in everyone(Table(eos_bonus=5), source, min_length=6))
    assert all(len(h.ids) == 4 for h in everyone(Table(), source, min_length=4, max_lengths=4))
    assert all(h.ids == [] for h in everyone(Table(), source, max_lengths=0))
    each = torch.arange(10) % 4
    never_ends = Table(eos_bonus=-100)
    assert [len(h.ids) for h in greedy(never_ends, source, max_lengths=each)] == each.tolist()
    assert [len(h[0].ids) for h in beam(never_ends, source, max_lengths=each)] == each.tolist()


def test_default_limit_is_the_source_and_fifty() -> None:
    source = sources(6)
    wanted = ((source > EOS).sum(1) + 50).tolist()
    never_ends = Table(eos_bonus=-100)
    for found in (greedy(never_ends, source), [h[0] for h in beam(never_ends, source, size=2)]):
        assert [len(h.ids) for h in found] == wanted
        assert not any(h.finished for h in found)


def test_finished_says_whether_the_model_wanted_to_end() -> None:
    source = sources(10)
    assert all(h.finished for h in everyone(Table(eos_bonus=100), source, min_length=2, max_lengths=2))
    assert not any(h.finished for h in everyone(Table(eos_bonus=-100), source, max_lengths=3))


def test_prefix_is_respected_and_paid_for() -> None:
    model, source = Table(eos_bonus=0.5), sources(5)
    prefix = [[5, 6, 7], [], [11], [4, 4], [3, 10, 9, 8]]
    for h, first in zip(greedy(model, source, prefix=prefix), prefix, strict=True):
        assert h.ids[: len(first)] == first
    for i, hypotheses in enumerate(beam(model, source, size=4, n_best=4, prefix=prefix, max_lengths=8)):
        for h in hypotheses:
            assert h.ids[: len(prefix[i])] == prefix[i]
            total = score(model, source[i : i + 1], torch.tensor([h.ids], dtype=torch.long)).log_prob
            assert float(total) == pytest.approx(h.log_prob, rel=1e-4)
    for paths, first in zip(sample(model, source, n=3, prefix=prefix), prefix, strict=True):
        assert all(h.ids[: len(first)] == first for h in paths)
    free = beam(model, source, size=4, n_best=4, max_lengths=8)[1]
    assert free == beam(model, source, size=4, n_best=4, prefix=prefix, max_lengths=8)[1]


def test_prefix_of_the_full_vocabulary_stays_exhaustive() -> None:
    model, source = Table(6, eos_bonus=0.5), sources(1, 6)
    wide = beam(model, source, size=120, n_best=5, prefix=[[4]], max_lengths=3)[0]
    every = exhaustive(model, source, 3, GNMT(0.6), 6)
    assert close(wide, [h for h in every if h.ids[:1] == [4]][:5])


@pytest.mark.parametrize(
    "limits",
    [
        {"max_lengths": 3, "min_length": 4},
        {"max_lengths": -1},
        {"max_lengths": [1, 2, 3]},
        {"min_length": -1},
        {"prefix": [[5]]},
        {"prefix": [[5], [2]]},
        {"prefix": [[5], [6, 7]], "max_lengths": 1},
    ],
)
def test_impossible_limits_are_refused(limits: dict) -> None:
    source = torch.tensor([[5, 6, 2], [7, 2, 0]])
    for search in (greedy, beam, sample):
        with pytest.raises(UserError):
            search(Table(), source, **limits)


def test_impossible_arguments_are_refused() -> None:
    source = sources(2)
    wrong: Any
    for wrong in ({"size": 0}, {"size": 2, "n_best": 3}, {"n_best": 0}):
        with pytest.raises(UserError):
            beam(Table(), source, **wrong)
    for wrong in ({"temperature": 0}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.1}, {"n": 0}, {"seed": torch.ones(3)}):
        with pytest.raises(UserError):
            sample(Table(), source, **wrong)


def test_logits_that_are_no_numbers_are_reported() -> None:
    broken = Fixed(torch.full((10,), math.nan))
    for search in (greedy, beam, sample):
        with pytest.raises(UserError, match="diverged"):
            search(broken, sources(3), max_lengths=3)
    with pytest.raises(UserError, match="diverged"):
        greedy(broken, sources(3), max_lengths=3, scored=False)


def test_empty_batches_and_empty_sentences() -> None:
    nobody = torch.zeros(0, 4, dtype=torch.long)
    assert greedy(Table(), nobody) == beam(Table(), nobody) == sample(Table(), nobody) == []
    only_eos = torch.tensor([[EOS]])
    assert len(greedy(Table(), only_eos)) == len(beam(Table(), only_eos)) == len(sample(Table(), only_eos)) == 1
