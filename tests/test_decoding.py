"""Penalties, candidates, greedy and beam search: against exhaustive search and naive loops."""

import itertools
import math
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from decoding_models import BOS, EOS, PAD, PENALTIES, Fixed, Recurrent, Table, close, exhaustive, sources
from torch import Tensor

import allyouneed.decoding.beam as beam_module
import allyouneed.decoding.greedy as greedy_module
import allyouneed.decoding.search as search_module
from allyouneed.decoding.beam import beam
from allyouneed.decoding.candidates import BLOCK, log_probabilities, ordered_top, top_candidates
from allyouneed.decoding.greedy import greedy
from allyouneed.decoding.hypotheses import Hypothesis
from allyouneed.decoding.limits import FREE
from allyouneed.decoding.penalties import GNMT, Average, NoPenalty, length_penalty
from allyouneed.decoding.sampling import sample
from allyouneed.decoding.scoring import score
from allyouneed.decoding.search import run
from allyouneed.errors import UserError
from allyouneed.nn.layer import select

# Penalties


def test_penalties_by_hand() -> None:
    assert GNMT(0.6)(1) == 1.0
    assert GNMT(0.6)(7) == pytest.approx(2**0.6)
    assert GNMT(1.0)(13) == pytest.approx(3.0)
    assert Average(1.0)(4) == 4.0
    assert Average(0.5)(9) == pytest.approx(3.0)
    assert NoPenalty()(9) == 1.0
    assert torch.equal(NoPenalty()(torch.tensor([1, 5])), torch.ones(2))
    torch.testing.assert_close(Average(2.0)(torch.tensor([2, 3])), torch.tensor([4.0, 9.0]))


def test_penalties_by_name() -> None:
    assert length_penalty("gnmt", 0.6) == GNMT(0.6)
    assert length_penalty("average", 1.0) == Average(1.0)
    assert length_penalty("none") == NoPenalty()
    with pytest.raises(UserError, match="gnmt, average, none"):
        length_penalty("wu")


# Candidates


def naive_candidates(log_probs: Tensor, before: Tensor, forced: int, may_end: bool, count: int) -> list[tuple]:
    k, v = log_probs.shape
    pairs = [
        (-float(log_probs[slot, token] + before[slot]), slot, token)
        for slot in range(k)
        for token in range(v)
        if (token == forced if forced >= 0 else token > EOS or (token == EOS and may_end))
    ]
    return sorted(pairs)[:count]


@pytest.mark.parametrize("vocab_size", [5, BLOCK, BLOCK + 1, 3 * BLOCK - 1, 5 * BLOCK])
@pytest.mark.parametrize("coarse", [False, True], ids=["distinct", "many-ties"])
def test_top_candidates_equal_a_full_sort(vocab_size: int, coarse: bool) -> None:
    b, k, count = 6, 3, 8
    log_probs = torch.randn(b, k, vocab_size)
    before = torch.randn(b, k)
    if coarse:  # few distinct values, so that the order among equal ones is put to the test
        log_probs, before = log_probs.round(), before.round()
    before[0, 1] = -math.inf
    forced = torch.tensor([FREE, FREE, FREE, EOS, vocab_size - 1, 3])
    may_end = torch.tensor([True, False, True, True, True, False])
    best = top_candidates(log_probs, before, forced, may_end, count)
    for i in range(b):
        wanted = naive_candidates(log_probs[i], before[i], int(forced[i]), bool(may_end[i]), count)
        wanted = [pair for pair in wanted if pair[0] < math.inf]
        columns = (best.values[i].tolist(), best.slots[i].tolist(), best.tokens[i].tolist())
        got = [(-value, slot, token) for value, slot, token in zip(*columns, strict=True)]
        assert got[: len(wanted)] == wanted
        assert all(value == math.inf for value, _, _ in got[len(wanted) :])


def test_order_of_negative_zero_and_infinities() -> None:
    values = torch.tensor([[-0.0, 0.0, -math.inf, 3.0, -1e-40, math.inf, -2.0]])
    assert ordered_top(values, torch.arange(7), 7)[0].tolist() == [5, 3, 0, 1, 4, 6, 2]


# Greedy


def naive_greedy(model: Any, source: Tensor, longest: int) -> list[int]:
    ids: list[int] = []
    cache, last = model.init_cache(source), BOS
    while len(ids) < longest:
        logits, cache = model.step(torch.tensor([last]), cache)
        logits = logits.clone()
        logits[0, [PAD, BOS]] = -math.inf
        last = int(logits[0].argmax())
        if last == EOS:
            break
        ids.append(last)
    return ids


def test_greedy_equals_a_naive_loop() -> None:
    model, source = Table(eos_bonus=0.5), sources(20)
    for row, hypothesis in zip(source, greedy(model, source), strict=True):
        longest = int((row > EOS).sum()) + 50
        assert hypothesis.ids == naive_greedy(model, row[None], longest)


def test_greedy_without_scores_makes_the_same_choices() -> None:
    model, source = Table(eos_bonus=0.5), sources(20)
    found = greedy(model, source, scored=False, max_lengths=9, min_length=2)
    assert [h.ids for h in found] == [h.ids for h in greedy(model, source, max_lengths=9, min_length=2)]
    assert [h.finished for h in found] == [h.finished for h in greedy(model, source, max_lengths=9, min_length=2)]
    assert all(h.score == h.log_prob == 0 for h in found)


def test_log_probabilities_in_parts_are_those_of_the_whole() -> None:
    logits = 10 * torch.randn(21, 5, 8000)  # more rows than are taken together
    assert torch.equal(log_probabilities(logits), F.log_softmax(logits, -1))
    assert log_probabilities(logits.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("penalty", PENALTIES)
def test_beam_of_one_is_greedy(penalty: Any) -> None:
    source = sources(24)
    for model in (Table(eos_bonus=1.0), Table(seed=1, eos_bonus=-1.0), Recurrent()):
        one = [h[0] for h in beam(model, source, size=1, penalty=penalty, max_lengths=12)]
        assert one == greedy(model, source, penalty=penalty, max_lengths=12)


def test_ties_go_to_the_lowest_id() -> None:
    source = sources(3)
    flat = Fixed(torch.zeros(200))
    assert [h.ids for h in greedy(flat, source, min_length=4, max_lengths=4)] == [[3, 3, 3, 3]] * 3
    best = beam(flat, source, size=3, n_best=3, min_length=2, max_lengths=2)[0]
    assert [h.ids for h in best] == [[3, 3], [3, 4], [3, 5]]


# Beam


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("seed", range(6))
def test_wide_beam_equals_exhaustive_search(penalty: Any, seed: int) -> None:
    vocab_size, longest = 6, 3
    model, source = Table(vocab_size, seed=seed, eos_bonus=0.5), sources(4, vocab_size)
    wide = beam(model, source, size=120, n_best=10, penalty=penalty, max_lengths=longest)
    for row, hypotheses in zip(source, wide, strict=True):
        assert close(hypotheses, exhaustive(model, row[None], longest, penalty, vocab_size)[:10])


def naive_beam(model: Table, source: Tensor, size: int, longest: int, penalty: Any, n_best: int) -> list[Hypothesis]:
    """The docstring of `beam` read aloud, for one sentence, without a cache, in lists."""
    live: list[tuple[float, list[int]]] = [(0.0, [])]
    pool: list[Hypothesis] = []
    for t in range(longest + 1):
        candidates = []
        for slot, (total, ids) in enumerate(live):
            log_probs = F.log_softmax(model(source, torch.tensor([[BOS, *ids]]))[0, -1], -1)
            natural = int(log_probs[EOS:].argmax()) == 0
            for token in [EOS] if t == longest else range(EOS, len(log_probs)):
                candidates.append((-(total + float(log_probs[token])), slot, token, ids, natural))
        best = sorted(candidates)[: 2 * size]
        for value, _, token, ids, natural in best[:size]:
            if token == EOS:
                pool.append(Hypothesis(ids, -value / penalty(t + 1), -value, natural or t < longest))
        pool = sorted(pool, key=lambda h: -h.score)[:size]
        live = [(-value, [*ids, token]) for value, _, token, ids, _ in best if token != EOS][:size]
        if len(pool) == size or not live:
            break
        bound = live[0][0] / max(penalty(t + 2), penalty(longest + 1))
        if len(pool) >= n_best and pool[n_best - 1].score >= bound:
            break
    return pool[:n_best]


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("size, n_best", [(2, 1), (3, 3), (5, 2)])
def test_beam_equals_a_naive_beam(penalty: Any, size: int, n_best: int) -> None:
    model, source = Table(eos_bonus=0.8), sources(16)
    found = beam(model, source, size=size, n_best=n_best, penalty=penalty, max_lengths=7)
    for row, hypotheses in zip(source, found, strict=True):
        wanted = naive_beam(model, row[None], size, 7, penalty, n_best)
        assert close(hypotheses, wanted)
        assert [h.finished for h in hypotheses] == [h.finished for h in wanted]


def test_n_best_is_sorted_distinct_and_scored_as_the_model_scores() -> None:
    model, source = Table(eos_bonus=0.5), sources(10)
    for i, hypotheses in enumerate(beam(model, source, size=6, n_best=6, penalty=Average(1.0))):
        assert len({tuple(h.ids) for h in hypotheses}) == len(hypotheses) == 6
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        for h in hypotheses:
            assert h.score == pytest.approx(h.log_prob / (len(h.ids) + 1), rel=1e-5)
            total = score(model, source[i : i + 1], torch.tensor([h.ids], dtype=torch.long)).log_prob
            assert float(total) == pytest.approx(h.log_prob, rel=1e-4)


def test_fewer_hypotheses_where_fewer_exist() -> None:
    found = beam(Table(5), sources(3, 5), size=8, n_best=8, max_lengths=1)  # only [], [3] and [4]
    assert [sorted(h.ids for h in hypotheses) for hypotheses in found] == [[[], [3], [4]]] * 3


# One result in any company


def searches(model: Any) -> list[Any]:
    return [
        lambda source, rows: [[h] for h in greedy(model, source)],
        lambda source, rows: beam(model, source, size=4, n_best=3),
        lambda source, rows: sample(model, source, n=3, seed=rows, top_k=5, top_p=0.9, max_lengths=20),
    ]


@pytest.mark.parametrize("make", [lambda: Table(eos_bonus=0.7), Recurrent], ids=["table", "network"])
@pytest.mark.parametrize("kind", [0, 1, 2], ids=["greedy", "beam", "sample"])
def test_the_same_alone_in_any_batch_order_and_padding(make: Any, kind: int) -> None:
    source = sources(30, longest=12)
    search = searches(make())[kind]
    together = search(source, torch.arange(30))
    order = torch.randperm(30)
    shuffled = search(F.pad(source[order], (0, 5)), order)
    for i in range(30):
        alone = search(source[i : i + 1, : int((source[i] != PAD).sum())], torch.tensor([i]))[0]
        assert close(alone, together[i])
        assert close(shuffled[order.tolist().index(i)], together[i])


@pytest.mark.parametrize("size", [1, 4])
def test_when_sentences_leave_changes_nothing(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, source = Table(eos_bonus=0.5), sources(20)
    found = []
    for leave_at in (0.01, 0.25, 2.0):  # at once, by quarters, never
        monkeypatch.setattr(beam_module, "run", partial(run, leave_at=leave_at))
        monkeypatch.setattr(greedy_module, "run", partial(run, leave_at=leave_at))
        found.append((beam(model, source, size=size, n_best=size), greedy(model, source), sample(model, source, n=2)))
    assert found[0] == found[1] == found[2]


def test_finished_sentences_leave_the_batch() -> None:
    model, source = Table(eos_bonus=1.5), sources(40)
    beam(model, source, size=3)
    assert model.rows[0] == 40 and model.rows[1] == 120
    assert model.rows[-1] < 40
    assert all(later <= earlier for earlier, later in itertools.pairwise(model.rows[1:]))


def test_sentence_level_tensors_are_never_expanded() -> None:
    class Watching(Table):
        def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
            assert len(ids) in (len(cache[1].tensors[0]), 4 * len(cache[1].tensors[0]))
            return super().step(ids, cache)

    beam(Watching(eos_bonus=0.5), sources(10), size=4)
    sample(Watching(eos_bonus=0.5), sources(10), n=4)


def test_a_wrong_reorder_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test model's own test: with hypotheses left where they are the outcome differs."""
    model, source = Table(eos_bonus=0.3), sources(12)
    right = beam(model, source, size=4, max_lengths=8)

    def lazy(tree: Any, rows: Tensor, sentences: Tensor | None = None) -> Any:
        is_cache = isinstance(tree, tuple) and not hasattr(tree, "_fields")
        keeps = is_cache and sentences is None and len(tree[0]) == len(rows)
        return tree if keeps else select(tree, rows, sentences)

    monkeypatch.setattr(search_module, "select", lazy)
    assert beam(model, source, size=4, max_lengths=8) != right
