"""What a search returns, and what it asks of a model."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from allyouneed.errors import UserError


class Hypothesis(NamedTuple):
    """One output. Scoring `ids` as a reference gives `log_prob` again."""

    ids: list[int]  # without bos and eos
    score: float  # log_prob / penalty(len(ids) + 1)
    log_prob: float  # natural logarithm; the model's own, whatever a temperature or a filter made of it
    finished: bool  # False where the length limit closed it and the model would rather have gone on


class Stepping(Protocol):
    """A model that decodes token by token; its cache is a value that `nn.layer.select` can reorder."""

    def init_cache(self, source: Tensor) -> Any: ...  # b m -> cache

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]: ...  # r -> r v


class Outcome(NamedTuple):
    """Hypotheses of sentences that are done, best first; a score of -inf marks an empty place."""

    origin: Tensor  # b: where the sentence stood in the caller's batch
    tokens: Tensor  # b k t
    length: Tensor  # b k: tokens without eos
    score: Tensor  # b k
    log_prob: Tensor  # b k
    finished: Tensor  # b k


def collect(outcomes: Iterable[Outcome], sentences: int) -> list[list[Hypothesis]]:
    """The hypotheses of each sentence in the caller's order."""
    result: list[list[Hypothesis]] = [[] for _ in range(sentences)]
    for outcome in outcomes:
        for origin, *columns in zip(*(field.tolist() for field in outcome), strict=True):
            result[origin] = [
                Hypothesis(tokens[:length], score, log_prob, finished)
                for tokens, length, score, log_prob, finished in zip(*columns, strict=True)
                if score > -math.inf  # False for not-a-number as well
            ]
    for i, hypotheses in enumerate(result):
        if not hypotheses:
            raise UserError(
                f"the model gave no usable probabilities for sentence {i} of the batch: its logits are not "
                "numbers or rule out every output; its training has probably diverged"
            )
    return result
