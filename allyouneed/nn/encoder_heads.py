"""Encoders with a head on them: hidden words, one class for a text or a pair, a class per token, a span.

Each is a body (`nn/text_encoder.py`) under the name `body`, so that what was learnt on one task moves to another, and
heads beside it, which do not. All of them offer `encode` and `pool`; a head offers `logits` and a `loss`, whose
sums leave out the targets that are `NOTHING`.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.nn.dropout import Dropout
from allyouneed.nn.feedforward import ACTIVATIONS
from allyouneed.nn.heads import TokenLoss, VocabularyHead
from allyouneed.nn.text_encoder import TextEncoder
from allyouneed.nn.wrap import NormMaker

NOTHING = -100
"""The target of a place that is not asked about, as everywhere in the field."""


def asked(x: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:  # ... d, ... -> t d, t
    """The places that have a target, and their targets."""
    index = (targets.flatten() != NOTHING).nonzero()[:, 0]
    return x.flatten(0, -2).index_select(0, index), targets.flatten().index_select(0, index)


class MaskedWordHead(nn.Module):
    """norm(act(W x + b)), then the word table again with a bias per word (BERT's code; ALBERT's W leads to width e)."""

    def __init__(self, table: Tensor, dim: int, activation: str, norm: NormMaker):
        super().__init__()
        self.linear = nn.Linear(dim, table.shape[1])
        self.activation = ACTIVATIONS[activation]
        self.norm = norm()
        self.words = VocabularyHead(table, bias=True)

    def transform(self, x: Tensor) -> Tensor:  # ... d -> ... e
        return self.norm(self.activation(self.linear(x)))

    def logits(self, x: Tensor) -> Tensor:  # ... d -> ... v
        return self.words.logits(self.transform(x))

    def loss(self, x: Tensor, targets: Tensor) -> TokenLoss:
        """`b n d` against `b n`; only the places with a target are computed, which are a sixth of all or fewer."""
        x, targets = asked(x, targets)
        return self.words.loss(self.transform(x), targets, pad=NOTHING)


class ClassHead(nn.Module):
    """dropout, then a linear map to the classes; for a text, x is the pooled `b d`, for its tokens `b n d`."""

    def __init__(self, dim: int, classes: int, dropout: float = 0.0):
        super().__init__()
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(dim, classes)

    def logits(self, x: Tensor) -> Tensor:  # ... d -> ... c
        return self.linear(self.dropout(x))

    def loss(self, x: Tensor, targets: Tensor) -> TokenLoss:
        x, targets = asked(x, targets)
        loss = F.cross_entropy(self.logits(x).float(), targets, reduction="sum")
        return TokenLoss(loss, loss.detach(), targets.numel())


class SpanHead(nn.Module):
    """Where a span begins and where it ends, each a choice among the places of the text.

    Padding is no place to choose, though the published code lets it compete: `real` is True at tokens.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.linear = nn.Linear(dim, 2)

    def logits(self, x: Tensor, real: Tensor) -> Tensor:  # b n d, b n -> b n 2, the last axis: begins, ends
        logits = self.linear(x)
        return logits.masked_fill(~real[..., None], torch.finfo(logits.dtype).min)

    def loss(self, x: Tensor, real: Tensor, targets: Tensor) -> TokenLoss:
        """Targets `b 2` are places, the end inclusive; the mean of both cross-entropies, summed over the batch."""
        logits = self.logits(x, real).float().transpose(1, 2)  # b 2 n
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum", ignore_index=NOTHING) / 2
        return TokenLoss(loss, loss.detach(), int((targets[:, 0] != NOTHING).sum()))


class EncoderModel(nn.Module):
    """A body, which heads of the subclasses read."""

    def __init__(self, body: TextEncoder):
        super().__init__()
        self.body = body

    def encode(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:  # b n -> b n d
        """The last layer; segments are 0 for the first text and 1 for the second, None means one text."""
        return self.body.encode(ids, segments)

    def pool(self, hidden: Tensor) -> Tensor:  # b n d -> b d
        return self.body.pool(hidden)

    def real(self, ids: Tensor) -> Tensor:  # b n -> b n, True at tokens
        return ids != self.body.pad

    def adopt(self, other: "EncoderModel") -> list[str]:
        """Takes over the body of another model, trained on another task; the names of what stays new.

        A pooler moves where both have one. Bodies of other sizes are refused by torch, which names each weight.
        """
        self.body.source.load_state_dict(other.body.source.state_dict())
        self.body.encoder.load_state_dict(other.body.encoder.state_dict())
        pooler, new = other.body.pooler.state_dict(), ["head.", "pair_head."]
        if pooler.keys() == self.body.pooler.state_dict().keys():
            self.body.pooler.load_state_dict(pooler)
        else:
            new.append("body.pooler.")
        return [name for name, _ in self.named_parameters() if name.startswith(tuple(new))]


class Guesses(NamedTuple):
    """What a pre-training model says of a batch."""

    words: Tensor  # b n v
    pair: Tensor | None  # b 2; class 1: the second text is a random one, or the two are swapped


class MaskedLanguageModel(EncoderModel):
    """ids with masks, segments -> body -> hidden -> words; pooled -> does the second text follow the first?"""

    def __init__(self, body: TextEncoder, head: MaskedWordHead, pair_head: ClassHead | None):
        super().__init__(body)
        self.head = head
        self.pair_head = pair_head

    def forward(self, ids: Tensor, segments: Tensor | None = None) -> Guesses:
        hidden = self.encode(ids, segments)
        return Guesses(self.head.logits(hidden), self.pair_head.logits(self.pool(hidden)) if self.pair_head else None)


class TextClassifier(EncoderModel):
    """ids of a text or a pair -> body -> pooled -> class."""

    def __init__(self, body: TextEncoder, head: ClassHead):
        super().__init__(body)
        self.head = head

    def forward(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:  # b n -> b c
        return self.head.logits(self.pool(self.encode(ids, segments)))


class TokenClassifier(EncoderModel):
    """ids -> body -> hidden -> a class for each token."""

    def __init__(self, body: TextEncoder, head: ClassHead):
        super().__init__(body)
        self.head = head

    def forward(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:  # b n -> b n c
        return self.head.logits(self.encode(ids, segments))


class SpanFinder(EncoderModel):
    """ids of question and passage -> body -> hidden -> where the answer begins and ends."""

    def __init__(self, body: TextEncoder, head: SpanHead):
        super().__init__(body)
        self.head = head

    def forward(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:  # b n -> b n 2
        return self.head.logits(self.encode(ids, segments), self.real(ids))
