"""Intervals over seeds, and the one rule by which two things are said to differ."""

import math
from collections.abc import Sequence
from statistics import mean, stdev
from typing import NamedTuple

from allyouneed.lab.claim import FAILS, HOLDS, UNCLEAR

# The 97.5 % quantiles of Student's t for 1, 2, ... degrees of freedom.
QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


class Interval(NamedTuple):
    """A mean with its 95 % interval (Student's t over seeds)."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        if not math.isfinite(self.high):
            return f"{self.mean:.3g} (one seed)"
        return f"{self.mean:.3g} ({self.low:.3g} to {self.high:.3g})"


def interval(values: Sequence[float]) -> Interval:
    """Of one value alone nothing is known: the interval is unbounded."""
    centre = mean(values)
    if len(values) < 2:
        return Interval(centre, -math.inf, math.inf)
    quantile = QUANTILES[len(values) - 2] if len(values) - 2 < len(QUANTILES) else 1.96
    half = quantile * stdev(values) / math.sqrt(len(values))
    return Interval(centre, centre - half, centre + half)


def above(values: Sequence[float], limit: float = 0.0) -> str:
    """Whether the values lie above the limit: all of the interval, none of it, or it cannot be told."""
    found = interval(values)
    if found.low > limit:
        return HOLDS
    return FAILS if found.high < limit else UNCLEAR


def within(values: Sequence[float], low: float, high: float) -> str:
    """Whether the values lie between two limits."""
    found = interval(values)
    if low <= found.low and found.high <= high:
        return HOLDS
    return FAILS if found.high < low or found.low > high else UNCLEAR


def together(words: Sequence[str]) -> str:
    """Several conditions: one that fails decides, then one that cannot be told."""
    return next((word for word in (FAILS, UNCLEAR) if word in words), HOLDS)
