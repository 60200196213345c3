"""Length penalties, named by formula. A score is `log_prob / penalty(n)`; n counts the output tokens and eos.

Log-probabilities only fall as a sentence grows, so an unpenalised search prefers short outputs; dividing by
something that grows with the length makes up for it. Every penalty here is positive and monotone in n, which
the beam's stop rule needs for its upper bound.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from allyouneed.errors import UserError

Penalty = Callable[[Any], Any]  # n, a number or a tensor -> the divisor, of the same shape


@dataclass(frozen=True)
class GNMT:
    """((5 + n) / 6) ** alpha: Wu et al. 2016, equation 14; the Transformer's paper decodes with alpha 0.6."""

    alpha: float = 0.6

    def __call__(self, n: Any) -> Any:
        return ((5 + n) / 6) ** self.alpha


PAPER = GNMT(0.6)  # Vaswani et al. 2017, section 6.1


@dataclass(frozen=True)
class Average:
    """n ** alpha: for alpha 1 the mean log-probability (fairseq's `lenpen`, Marian's `normalize`)."""

    alpha: float = 1.0

    def __call__(self, n: Any) -> Any:
        return n**self.alpha


@dataclass(frozen=True)
class NoPenalty:
    """1: the score is the log-probability itself."""

    def __call__(self, n: Any) -> Any:
        return n**0.0  # ones of n's shape


def divisors(penalty: Penalty, lengths: Tensor) -> Tensor:
    """The penalty for outputs of `lengths` tokens, eos not yet counted, in float32.

    It is computed in float64: a float32 power differs in the last bit with the place of a number in its tensor, and no
    result may depend on the batch around a sentence.
    """
    return penalty((lengths + 1).double()).float()


def length_penalty(name: str, alpha: float = 0.6) -> Penalty:
    """The penalty called `gnmt`, `average` or `none` in settings; `none` has no use for `alpha`."""
    known: dict[str, Penalty] = {"gnmt": GNMT(alpha), "average": Average(alpha), "none": NoPenalty()}
    if name not in known:
        raise UserError(f"length penalty {name!r} is not known; choose one of {', '.join(known)}")
    return known[name]
