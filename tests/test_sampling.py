"""Decoding: sampling against naive filters and expected frequencies, and scoring against sums by hand."""

import math

import pytest
import torch
from decoding_models import BOS, EOS, Fixed, Table, close, sources
from torch import Tensor

from allyouneed.decoding.greedy import follow, greedy
from allyouneed.decoding.limits import Limits
from allyouneed.decoding.penalties import NoPenalty
from allyouneed.decoding.sampling import pick, sample, uniforms
from allyouneed.decoding.scoring import score
from allyouneed.errors import UserError

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
    found = follow(Table(), source, seven, 2, torch.zeros(4, dtype=torch.long), NoPenalty(), Limits())
    assert [[h.ids for h in paths] for paths in found] == [[[7, 7, 7]] * 2] * 4
