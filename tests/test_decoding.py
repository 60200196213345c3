"""Decoding: against exhaustive search, naive loops and hand-computed values, with models small enough to enumerate."""

import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.decoding.beam import beam
from allyouneed.decoding.candidates import BLOCK, ordered_top, top_candidates
from allyouneed.decoding.greedy import follow, greedy
from allyouneed.decoding.hypotheses import Hypothesis
from allyouneed.decoding.limits import FREE
from allyouneed.decoding.penalties import GNMT, Average, NoPenalty, length_penalty
from allyouneed.decoding.sampling import pick, sample, uniforms
from allyouneed.decoding.scoring import score
from allyouneed.decoding.search import run
from allyouneed.errors import UserError
from allyouneed.nn.layer import PerSentence, select

PAD, BOS, EOS = 0, 1, 2
PENALTIES = [GNMT(0.6), Average(1.0), NoPenalty(), Average(-0.5)]


class Table:
    """Logits looked up by a hash of the source and of all tokens read, in order: exact in any batch, and a cache row
    that is given to the wrong hypothesis or sentence changes what follows."""

    def __init__(self, vocab_size: int = 12, seed: int = 0, eos_bonus: float = 0.0, sharpness: float = 1.5):
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.randn(1009, vocab_size, generator=generator) * sharpness
        self.table[:, EOS] += eos_bonus
        self.rows: list[int] = []

    def init_cache(self, source: Tensor) -> Any:
        weights = torch.arange(1, source.shape[1] + 1)
        key = (source * weights * 7919).sum(1)  # pad is 0 and adds nothing
        return source[:, :0], PerSentence((key,))

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        past, sentence = cache
        past = torch.cat([past, ids[:, None]], dim=1)
        key = sentence.tensors[0]
        self.rows.append(len(ids))
        weights = torch.arange(1, past.shape[1] + 1) * 31 + 17
        hashed = (past * weights).sum(1) + past[:, -1] * 101 + key.repeat_interleave(len(ids) // len(key))
        return self.table[hashed % len(self.table)], (past, sentence)

    def __call__(self, source: Tensor, target: Tensor) -> Tensor:
        cache, logits = self.init_cache(source), []
        for ids in target.T:
            step, cache = self.step(ids, cache)
            logits.append(step)
        return torch.stack(logits, dim=1)


class Recurrent(nn.Module):
    """A real network with attention over the source and floats that feel padding and batching."""

    def __init__(self, vocab_size: int = 80, dim: int = 16):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, dim)
        self.cell = nn.GRUCell(2 * dim, dim)
        self.out = nn.Linear(dim, vocab_size)
        nn.init.normal_(self.out.weight, std=1.0)

    def init_cache(self, source: Tensor) -> Any:
        memory = self.embed(source)
        return memory.new_zeros(len(source), memory.shape[-1]), PerSentence((memory, source != PAD))

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        state, sentence = cache
        memory, mask = sentence.tensors
        query = state.unflatten(0, (len(memory), -1))  # b k d
        scores = (query @ memory.mT).masked_fill(~mask[:, None], -1e9)
        seen = (scores.softmax(-1) @ memory).flatten(0, 1)
        state = self.cell(torch.cat([self.embed(ids), seen], dim=-1), state)
        return self.out(state), (state, sentence)


class Fixed:
    """The same logits always: one step's distribution."""

    def __init__(self, logits: Tensor):
        self.logits = logits

    def init_cache(self, source: Tensor) -> Any:
        return (source[:, :0],)

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        return self.logits.expand(len(ids), -1), cache


def sources(count: int, vocab_size: int = 12, longest: int = 9) -> Tensor:
    lengths = torch.randint(0, longest, (count,)).tolist()
    rows = [torch.cat([torch.randint(3, vocab_size, (n,)), torch.tensor([EOS])]) for n in lengths]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)


def exhaustive(model: Table, source: Tensor, longest: int, penalty: Any, vocab_size: int) -> list[Hypothesis]:
    """Every output of at most `longest` tokens for one sentence (1 m), best first, scored by teacher forcing."""
    found = []
    for n in range(longest + 1):
        for ids in itertools.product(range(3, vocab_size), repeat=n):
            log_probs = F.log_softmax(model(source, torch.tensor([[BOS, *ids]])), -1)[0]
            total = sum(float(log_probs[i, token]) for i, token in enumerate([*ids, EOS]))
            found.append(Hypothesis(list(ids), total / penalty(n + 1), total, True))
    return sorted(found, key=lambda h: -h.score)


def close(a: list[Hypothesis], b: list[Hypothesis]) -> bool:
    return [h.ids for h in a] == [h.ids for h in b] and all(
        math.isclose(x.score, y.score, rel_tol=1e-4, abs_tol=1e-5)
        and math.isclose(x.log_prob, y.log_prob, rel_tol=1e-4, abs_tol=1e-5)
        for x, y in zip(a, b, strict=True)
    )


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
    cache, ids, last = model.init_cache(source), [], BOS
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
    import allyouneed.decoding.beam as beam_module
    import allyouneed.decoding.greedy as greedy_module

    model, source = Table(eos_bonus=0.5), sources(20)
    found = []
    for leave_at in (0.01, 0.25, 2.0):  # at once, by quarters, never
        monkeypatch.setattr(beam_module, "run", lambda *args, at=leave_at: run(*args, at))
        monkeypatch.setattr(greedy_module, "run", lambda *args, at=leave_at: run(*args, at))
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
    import allyouneed.decoding.search as search_module

    model, source = Table(eos_bonus=0.3), sources(12)
    right = beam(model, source, size=4, max_lengths=8)

    def lazy(tree: Any, rows: Tensor, sentences: Tensor | None = None) -> Any:
        is_cache = isinstance(tree, tuple) and not hasattr(tree, "_fields")
        keeps = is_cache and sentences is None and len(tree[0]) == len(rows)
        return tree if keeps else select(tree, rows, sentences)

    monkeypatch.setattr(search_module, "select", lazy)
    assert beam(model, source, size=4, max_lengths=8) != right


# Limits


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


def test_empty_batches_and_empty_sentences() -> None:
    nobody = torch.zeros(0, 4, dtype=torch.long)
    assert greedy(Table(), nobody) == beam(Table(), nobody) == sample(Table(), nobody) == []
    only_eos = torch.tensor([[EOS]])
    assert len(greedy(Table(), only_eos)) == len(beam(Table(), only_eos)) == len(sample(Table(), only_eos)) == 1


# Sampling


def test_top_k_of_one_is_greedy() -> None:
    model, source = Table(eos_bonus=0.5), sources(12)
    for paths, best in zip(sample(model, source, top_k=1, n=2), greedy(model, source), strict=True):
        assert close(paths, [best, best])


def naive_filter(logits: Tensor, temperature: float, top_k: int | None, top_p: float) -> Tensor:
    """The distribution that is drawn from, for one row: in lists, token by token."""
    allowed = sorted(range(EOS, len(logits)), key=lambda token: (-float(logits[token]), token))
    allowed = allowed[:top_k]
    weights = [math.exp(float(logits[token]) / temperature) for token in allowed]
    probs = [weight / sum(weights) for weight in weights]
    kept, total = [], 0.0
    for token, prob in zip(allowed, probs, strict=True):
        if total >= top_p:
            break
        kept.append((token, prob))
        total += prob
    out = torch.zeros(len(logits), dtype=torch.float64)
    for token, prob in kept:
        out[token] = prob / total
    return out


@pytest.mark.parametrize(
    "temperature, top_k, top_p",
    [(1.0, None, 1.0), (0.5, None, 1.0), (2.0, None, 1.0), (1.0, 4, 1.0), (1.0, None, 0.7), (0.8, 5, 0.6)],
)
def test_frequencies_follow_the_filtered_distribution(temperature: float, top_k: int | None, top_p: float) -> None:
    logits = torch.randn(20) * 1.5
    n = 20_000
    paths = sample(
        Fixed(logits), torch.tensor([[5, 2]]), temperature, top_k, top_p, n=n, seed=1, min_length=0, max_lengths=1
    )[0]
    drawn = torch.tensor([h.ids[0] if h.ids else EOS for h in paths])
    frequency = torch.bincount(drawn, minlength=20).double() / n
    wanted = naive_filter(logits, temperature, top_k, top_p)
    assert not bool(frequency[wanted == 0].any())
    error = (wanted * (1 - wanted) / n).sqrt()
    assert bool(((frequency - wanted).abs() <= 5 * error + 1e-12).all())


def test_the_nucleus_always_holds_one_token() -> None:
    values = torch.tensor([[[3.0, 1.0, 0.0]]])
    for u in (0.0, 0.5, 1 - 2**-48):
        assert int(pick(values, 1e-6, torch.tensor([[u]], dtype=torch.float64))) == 0


def test_seeds() -> None:
    model, source = Table(eos_bonus=0.3), sources(6)
    twins = source[:1].repeat(4, 1)
    first = sample(model, source, seed=3)
    assert first == sample(model, source, seed=3)
    assert first != sample(model, source, seed=4)
    assert len({tuple(paths[0].ids) for paths in sample(model, twins, min_length=5)}) == 4
    same = sample(model, twins, seed=torch.full((4,), 9))
    assert same[0] == same[1] == same[2] == same[3]
    assert sample(model, source, seed=-1) != sample(model, source, seed=2**64)


def test_uniform_numbers_are_uniform_and_unrelated() -> None:
    u = torch.stack([uniforms(torch.arange(50), 40, t) for t in range(20)])  # t b n
    assert float(u.min()) >= 0 and float(u.max()) < 1
    counts = torch.histc(u.float(), 20, 0, 1)
    assert bool(((counts - 2000).abs() < 5 * 2000**0.5).all())
    for shifted in (u[1:], u[:, 1:], u[:, :, 1:]):
        kept = u[: shifted.shape[0], : shifted.shape[1], : shifted.shape[2]]
        correlation = torch.corrcoef(torch.stack([kept.flatten(), shifted.flatten()]))[0, 1]
        assert abs(float(correlation)) < 0.03


def test_samples_report_the_model_s_own_log_probability() -> None:
    model, source = Table(eos_bonus=0.5), sources(5)
    for i, paths in enumerate(sample(model, source, temperature=1.7, top_k=6, n=2, max_lengths=10)):
        for h in paths:
            total = score(model, source[i : i + 1], torch.tensor([h.ids], dtype=torch.long)).log_prob
            assert float(total) == pytest.approx(h.log_prob, rel=1e-4)


# Scoring


def test_score_equals_summing_by_hand() -> None:
    model, source = Table(), sources(3)
    references = [[5, 6, 7], [], [9]]
    target = torch.tensor([[5, 6, 7, 0], [0, 0, 0, 0], [9, 0, 0, 0]])
    scores = score(model, source, target)
    for i, ids in enumerate(references):
        log_probs = model(source[i : i + 1], torch.tensor([[BOS, *ids]]))[0].log_softmax(-1)
        by_hand = [float(log_probs[t, token]) for t, token in enumerate([*ids, EOS])]
        assert scores.tokens[i] == pytest.approx(by_hand, abs=1e-6)
        assert float(scores.log_prob[i]) == pytest.approx(sum(by_hand), abs=1e-5)


def test_score_of_empty_references_and_of_marked_ones() -> None:
    model, source = Table(), sources(2)
    empty = score(model, source, torch.zeros(2, 0, dtype=torch.long))
    assert [len(tokens) for tokens in empty.tokens] == [1, 1]
    with pytest.raises(UserError, match="bos or eos"):
        score(model, source, torch.tensor([[5, EOS], [6, 7]]))


def test_low_precision_logits_are_scored_in_float32() -> None:
    logits = torch.randn(50).bfloat16()
    h = greedy(Fixed(logits), torch.tensor([[5, 2]]), max_lengths=3)[0]
    own = logits.float().log_softmax(-1)
    assert h.log_prob == pytest.approx(sum(float(own[token]) for token in [*h.ids, EOS]), abs=1e-5)


def test_follow_is_what_greedy_and_sampling_share() -> None:
    """A choice of one's own: always the token 7, three times."""
    seven = lambda paths, log_probs, position: torch.full_like(paths.length, 7 if position < 3 else EOS)  # noqa: E731
    source = sources(4)
    from allyouneed.decoding.limits import Limits

    found = follow(Table(), source, seven, 2, torch.zeros(4, dtype=torch.long), NoPenalty(), Limits())
    assert [[h.ids for h in paths] for paths in found] == [[[7, 7, 7]] * 2] * 4
