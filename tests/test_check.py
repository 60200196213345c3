"""`allyouneed check` passes where all is right, and each check fails where its part is broken."""

import io
import sys
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from allyouneed import cli
from allyouneed.decoding import beam as beam_module
from allyouneed.decoding import greedy as greedy_module
from allyouneed.lab import check
from allyouneed.nn import attention, feedforward, frames, heads, positions
from allyouneed.training import state


def shown(passed: bool, titles: list[str] | None = None, monkeypatch: pytest.MonkeyPatch | None = None) -> str:
    if titles and monkeypatch:
        monkeypatch.setattr(check, "CHECKS", {title: check.CHECKS[title] for title in titles})
    text = io.StringIO()
    assert check.run_checks(Console(file=text, width=160)) is passed
    return text.getvalue()


def test_all_is_right_here() -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    text = shown(True)
    assert text.count("✓") == len(check.CHECKS) and "✗" not in text
    assert "all 9 checks passed" in text and all(title in text for title in check.CHECKS)
    assert torch.equal(torch.get_rng_state(), before) and torch.get_num_threads() == threads


def causal_mask_off(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(attention.CausalAttend, "causal", False)


def padding_seen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(frames, "padding_mask", lambda ids, pad=0: torch.ones_like(ids, dtype=torch.bool)[:, None, None])


def past_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(attention.KeyValues, "append", lambda _, keys, values: attention.KeyValues(keys, values))


def another_activation(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(feedforward.ACTIVATIONS, "relu", lambda x: x.relu() + 1e-4 * x)


def second_best_word(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        greedy_module, "_most_probable", lambda _, log_probs, __: log_probs[..., 2:].topk(2).indices[..., 1] + 2
    )


def no_length_penalty(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(beam_module, "divisors", lambda _, lengths: torch.ones(lengths.shape))


def no_positions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(positions.SinusoidalPositions, "forward", lambda _, x: x)
    patch.setattr(positions.SinusoidalPositions, "at", lambda _, x, position: x)


def no_learning(patch: pytest.MonkeyPatch) -> None:
    loss = heads.VocabularyHead.loss

    def silent(self: Any, x: Tensor, *rest: Any) -> heads.TokenLoss:
        return loss(self, x, *rest)._replace(loss=0 * x.sum() + 1.0)

    patch.setattr(heads.VocabularyHead, "loss", silent)


def moments_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(state, "load_optimizer_state", lambda *_: None)


@pytest.mark.parametrize(
    "broken, title",
    [
        (causal_mask_off, "the future is not seen"),
        (causal_mask_off, "equal to torch.nn.Transformer"),
        (another_activation, "equal to torch.nn.Transformer"),
        (padding_seen, "padding changes nothing"),
        (past_forgotten, "cached = uncached"),
        (second_best_word, "beam 1 = greedy"),
        (no_length_penalty, "beam = exhaustive search"),
        (no_positions, "a copy task is learned"),
        (no_learning, "one batch is overfitted"),
        (moments_lost, "a run resumes to the bit"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_part_is_found(broken: Any, title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch)
    text = shown(False, [title], monkeypatch)
    assert "✗" in text and "1 of 1 checks failed" in text and title in text


def test_a_crash_is_a_failed_check_and_the_exit_code_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash() -> str:
        raise RuntimeError("no such [kernel]")

    monkeypatch.setattr(check, "CHECKS", {"a broken torch": crash, "another": lambda: "fine"})
    monkeypatch.setattr(sys, "argv", ["allyouneed", "check"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    printed = capsys.readouterr().out
    assert "RuntimeError: no such [kernel]" in printed and "✓" in printed
