"""Learning rates against values worked out by hand, and against what each curve promises."""

import itertools
import math
from typing import Any

import pytest

from allyouneed.training.schedules import learning_rate
from allyouneed.training.settings import TrainingSettings


def rate(step: int, progress: float = 0.0, dim: int = 512, **settings: Any) -> float:
    return learning_rate(TrainingSettings.model_validate(settings), step, dim, progress)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (1, 1.746928107421711e-07),  # 512^-0.5 / 4000^1.5
        (4000, 6.987712429686843e-04),  # the peak: (512 * 4000)^-0.5
        (16000, 3.493856214843422e-04),  # half of it after four times the steps
    ],
)
def test_paper(step: int, expected: float) -> None:
    got = rate(step, schedule="paper", learning_rate=1, warmup_steps=4000)
    assert got == pytest.approx(expected, rel=1e-12)
    assert rate(step, schedule="paper", learning_rate=2, warmup_steps=4000) == pytest.approx(2 * expected)


def test_inverse_sqrt_is_the_papers_curve_by_its_peak() -> None:
    peak = (512 * 4000) ** -0.5
    for step in (1, 10, 3999, 4000, 4001, 90_000):
        paper = rate(step, schedule="paper", learning_rate=1, warmup_steps=4000)
        ours = rate(step, schedule="inverse_sqrt", learning_rate=peak, warmup_steps=4000)
        assert ours == pytest.approx(paper)
    assert rate(400, schedule="inverse_sqrt", learning_rate=1, warmup_steps=100) == 0.5


@pytest.mark.parametrize(
    ("progress", "expected"),
    [(0, 1.0), (0.25, (1 + math.sqrt(0.5)) / 2), (0.5, 0.5), (1, 0.0), (1.2, 0.0), (-1, 1)],
)
def test_cosine(progress: float, expected: float) -> None:
    got = rate(500, progress, schedule="cosine", learning_rate=1, warmup_steps=500)
    assert got == pytest.approx(expected, abs=1e-12)
    floor = rate(500, progress, schedule="cosine", learning_rate=2, warmup_steps=500, final_fraction=0.1)
    assert floor == pytest.approx(2 * (0.1 + 0.9 * expected))


@pytest.mark.parametrize(
    ("progress", "expected"), [(0, 1), (0.125, 0.5), (0.25, 1), (0.375, 0.5), (0.75, 1), (0.875, 0.5), (1, 0)]
)
def test_restarts_cut_the_run_into_equal_cycles(progress: float, expected: float) -> None:
    got = rate(10, progress, schedule="cosine_restarts", restarts=3, learning_rate=1, warmup_steps=10)
    assert got == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("progress", "expected"), [(0, 1.0), (0.25, 0.75), (1, 0.0), (1.5, 0.0), (-1, 1.0)])
def test_linear(progress: float, expected: float) -> None:
    """BERT's: up over the warm-up, then straight down to nothing."""
    assert rate(500, progress, schedule="linear", learning_rate=2, warmup_steps=500) == pytest.approx(2 * expected)
    assert rate(50, progress, schedule="linear", learning_rate=2, warmup_steps=500) == pytest.approx(0.2 * expected)
    floor = rate(500, progress, schedule="linear", learning_rate=1, warmup_steps=500, final_fraction=0.2)
    assert floor == pytest.approx(0.2 + 0.8 * expected)


def test_constant() -> None:
    rates = [rate(step, schedule="constant", learning_rate=2, warmup_steps=4) for step in range(1, 7)]
    assert rates == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("schedule", ["paper", "inverse_sqrt", "cosine", "cosine_restarts", "constant"])
def test_laws(schedule: str) -> None:
    settings: dict[str, Any] = {"schedule": schedule, "learning_rate": 1.0, "warmup_steps": 50}
    steps = 1000
    rates = [rate(step, (step - 1) / steps, **settings) for step in range(1, steps + 1)]
    peak = max(rates)
    assert all(value > 0 for value in rates)
    # After the first step there is no jump greater than a warm-up step, save at a restart.
    jumps = [abs(after - before) / peak for before, after in itertools.pairwise(rates)]
    restarts = 3 if schedule == "cosine_restarts" else 0
    assert sum(jump > 1.01 / 50 for jump in jumps) == restarts
    if schedule != "cosine_restarts":
        assert 45 <= rates.index(peak) + 1 <= 51
    # Without warm-up the first step already has the peak.
    assert rate(1, 0.0, dim=1, **{**settings, "warmup_steps": 0}) == pytest.approx(1.0)


def test_steps_count_from_one() -> None:
    with pytest.raises(ValueError, match="count from 1"):
        rate(0)
