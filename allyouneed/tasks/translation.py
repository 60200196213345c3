"""Translation: label-smoothed cross-entropy over subwords, validated by decoding with BLEU."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from allyouneed.data.batches import TokenStore, plan
from allyouneed.data.parallel import ParallelText
from allyouneed.data.stored_pairs import PairStore
from allyouneed.data.stored_plan import StoredPlan, batch_cuts
from allyouneed.data.subwords import BOS, EOS, SampledSubwords, Subwords
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.decoding.translate import Translator
from allyouneed.nn.heads import Smoothing
from allyouneed.tasks.cost import hidden_and_cost
from allyouneed.tasks.metrics import corpus_scores
from allyouneed.tasks.task import Group, trainable

ENDS = 1  # tokens added to each side: the source's end; the target's start before what is read, its end after the rest
ENCODED = 16_384  # lines that are cut into pieces together


class Batch(NamedTuple):
    source: Tensor  # b m, the end token included
    target_in: Tensor  # b n, begins with the start token
    target_out: Tensor  # b n, ends with the end token


class Learning(NamedTuple):
    """The numbers of the task's loss."""

    smoothing: float = 0.1
    convention: str = "torch"
    rdrop: float = 0.0  # weight of the R-Drop term; 0 is off
    batch_tokens: int = 4096
    bpe_dropout: float = 0.0
    seed: int = 1
    longest: int | None = None  # positions that the model has, where they have an end


class Vocabulary(NamedTuple):
    """The subwords of both sides; the same object twice where they are joint."""

    source: Subwords
    target: Subwords


class EncodedText(NamedTuple):
    source: TokenStore
    target: TokenStore

    @classmethod
    def of(cls, text: ParallelText, vocabulary: Vocabulary) -> "EncodedText":
        return cls(*(_encoded(lines, subwords) for lines, subwords in zip(text, vocabulary, strict=True)))

    @property
    def lengths(self) -> np.ndarray:  # 2 x sentences, ends included
        return np.stack([self.source.lengths + ENDS, self.target.lengths + ENDS])


def _encoded(lines: Sequence[str], subwords: Subwords) -> TokenStore:
    """In pieces: what the tokenizer returns takes a hundred times the room of the ids."""
    return TokenStore.joined(
        TokenStore.of(subwords.encode(lines[start : start + ENCODED])) for start in range(0, len(lines), ENCODED)
    )


class Pairs(Protocol):
    """Where the training pairs come from, as tokens, and which of them share a batch."""

    def text(self, epoch: int) -> EncodedText:
        """All pairs as the epoch spells them."""

    def plan(self, epoch: int) -> Sequence[np.ndarray]:
        """The epoch's batches."""

    def release(self) -> None:
        """A batch was read: what is kept of it alone may go."""


class TranslationTask:
    """See `Task`. `train` and `val` are raw text; see also `StoredTranslationTask`."""

    metric = "bleu"
    players: Sequence[str] = ("model",)

    def __init__(
        self,
        train: ParallelText | PairStore,
        val: ParallelText,
        vocabulary: Vocabulary,
        learning: Learning,
        decoding: DecodingSettings,
    ):
        self.learning, self.vocabulary, self.val = learning, vocabulary, val
        self.quick_decoding = decoding.model_copy(update={"beam": 1})
        self.full_decoding = decoding
        self.pairs = self._pairs(train)
        self.smoothing = Smoothing.named(learning.convention, learning.smoothing, len(vocabulary.target))

    def _pairs(self, train: Any) -> Pairs:
        kind = _Sampled if self.learning.bpe_dropout else _InMemory
        return kind(train, self.vocabulary, self.learning)

    def _text(self, epoch: int) -> EncodedText:
        return self.pairs.text(epoch)

    def lengths(self, epoch: int) -> np.ndarray:  # 2 x sentences
        """Pieces of source and target, ends included, as the epoch's spelling has them."""
        return self._text(epoch).lengths

    def plan(self, epoch: int) -> Sequence[np.ndarray]:
        return self.pairs.plan(epoch)

    def weight(self, batch: np.ndarray, epoch: int) -> int:
        return int(self._text(epoch).target.lengths_of(batch).sum()) + len(batch)

    def tokens(self, batch: np.ndarray, epoch: int) -> int:
        return int(self._text(epoch).source.lengths_of(batch).sum()) + len(batch) + self.weight(batch, epoch)

    def collate(self, batch: np.ndarray, epoch: int) -> Batch:
        text = self._text(epoch)
        source = text.source.padded(batch, after=[EOS])
        target = text.target.padded(batch, before=[BOS], after=[EOS])
        self.pairs.release()
        return Batch(
            torch.from_numpy(source),
            torch.from_numpy(np.where(target[:, :-1] == EOS, 0, target[:, :-1])),
            torch.from_numpy(np.ascontiguousarray(target[:, 1:])),
        )

    def parameters(self, model: nn.Module, player: str) -> list[Group]:
        return trainable(model)

    def loss(self, model: nn.Module, batch: Batch, player: str) -> tuple[Tensor, dict[str, Tensor]]:
        loss = rdrop_loss if self.learning.rdrop else smoothed_loss
        total, nll = loss(model, batch, self.smoothing, self.learning.rdrop)
        return total, {"loss": total.detach(), "nll": nll}

    def validate(self, model: nn.Module, quick: bool = False) -> dict[str, float]:
        """BLEU (13a, cased) of the dev set: by greedy search where `quick`, else by the run's own search."""
        translator = Translator(model, self.vocabulary.source, self.vocabulary.target)
        settings = self.quick_decoding if quick else self.full_decoding
        scores = corpus_scores(translator.translate(self.val.source, settings), self.val.target)
        return {
            "bleu": scores["bleu"],
            "chrf": scores["chrf"],
            "exact_match": scores["exact_match"],
            **self._dev_loss(model),
        }

    @torch.no_grad()
    def _dev_loss(self, model: nn.Module) -> dict[str, float]:
        text, device = EncodedText.of(self.val, self.vocabulary), next(model.parameters()).device
        readable = np.nonzero((text.lengths <= (self.learning.longest or np.inf)).all(0))[0]
        total = count = 0.0
        for rows in plan(text.lengths[:, readable], 2 * self.learning.batch_tokens, 0, 0):
            batch = readable[rows]
            source = torch.from_numpy(text.source.padded(batch, after=[EOS])).to(device)
            target = torch.from_numpy(text.target.padded(batch, before=[BOS], after=[EOS])).to(device)
            hidden = model.hidden(source, target[:, :-1])  # type: ignore[operator]
            result = model.head.loss(hidden, target[:, 1:])  # type: ignore[union-attr, operator]
            total, count = total + float(result.nll), count + result.tokens
        mean = total / max(count, 1.0)
        return {"dev_nll": mean, "dev_perplexity": float(np.exp(min(mean, 50.0)))}


def smoothed_loss(model: nn.Module, batch: Batch, smoothing: Smoothing, _: float = 0.0) -> tuple[Tensor, Tensor]:
    """Sums over target tokens: the label-smoothed cross-entropy, and the plain one."""
    hidden, cost = hidden_and_cost(model, batch.source, batch.target_in)
    result = model.head.loss(hidden, batch.target_out, smoothing)  # type: ignore[union-attr, operator]
    return result.loss + cost * result.tokens, result.nll


def rdrop_loss(model: nn.Module, batch: Batch, smoothing: Smoothing, weight: float) -> tuple[Tensor, Tensor]:
    """R-Drop (Liang et al. 2021, https://arxiv.org/abs/2106.14448, equation 4): two passes with other dropout masks.

    The mean of both cross-entropies plus weight/4 times the divergences KL(p1||p2) + KL(p2||p1), summed over tokens.
    """
    twice = Batch(*(torch.cat([tensor, tensor]) for tensor in batch))
    hidden, cost = hidden_and_cost(model, twice.source, twice.target_in)
    result = model.head.loss(hidden, twice.target_out, smoothing)  # type: ignore[union-attr, operator]
    real = (batch.target_out != 0).flatten()
    first, second = (half.flatten(0, 1)[real] for half in hidden.chunk(2))
    p, q = (model.head.logits(half).float().log_softmax(-1) for half in (first, second))  # type: ignore[union-attr, operator]
    divergence = ((p.exp() - q.exp()) * (p - q)).sum()
    return (result.loss + cost * result.tokens) / 2 + weight / 4 * divergence, result.nll / 2


class StoredTranslationTask(TranslationTask):
    """The same task on a `PairStore`: what memory holds does not grow with the number of pairs."""

    def _pairs(self, train: PairStore) -> Pairs:
        return _OnDisk(train, self.learning)


class _InMemory:
    """The training text, spelled once."""

    def __init__(self, train: ParallelText, vocabulary: Vocabulary, learning: Learning):
        self.learning = learning
        self.encoded = EncodedText.of(train, vocabulary)

    def text(self, epoch: int) -> EncodedText:
        return self.encoded

    def plan(self, epoch: int) -> Sequence[np.ndarray]:
        return plan(self.text(epoch).lengths, self.learning.batch_tokens, self.learning.seed, epoch)

    def release(self) -> None:
        """Nothing is kept of a batch."""


class _Sampled(_InMemory):
    """The training text spelled anew for each epoch by BPE-dropout; the last epoch asked for is kept."""

    def __init__(self, train: ParallelText, vocabulary: Vocabulary, learning: Learning):
        self.learning = learning
        self.sides = []
        for lines, subwords in ((train.source, vocabulary.source), (train.target, vocabulary.target)):
            sampler = SampledSubwords(subwords, learning.bpe_dropout, learning.seed)
            self.sides.append((sampler, [sampler.words(line) for line in lines]))
        self.epoch = -1

    def text(self, epoch: int) -> EncodedText:
        if epoch != self.epoch:
            spelled = [sampler.encode(words, 2 * epoch + i) for i, (sampler, words) in enumerate(self.sides)]
            if longest := self.learning.longest:  # a spelling may outgrow the plain one, and so the learned positions
                spelled = [[row[: longest - 1] for row in side] for side in spelled]
            self.encoded = EncodedText(*map(TokenStore.of, spelled))
            self.epoch = epoch
        return self.encoded


class _OnDisk:
    """Pairs in files, and batches that are worked out one at a time."""

    def __init__(self, store: PairStore, learning: Learning):
        self.store, self.seed = store, learning.seed
        self.cuts = batch_cuts(store.classes, ENDS, learning.batch_tokens)
        self.release = store.release

    def text(self, epoch: int) -> EncodedText:
        return EncodedText(self.store.source, self.store.target)

    def plan(self, epoch: int) -> Sequence[np.ndarray]:
        return StoredPlan(self.store.order, self.store.classes, self.cuts, self.seed, epoch)


def too_long(text: ParallelText, vocabulary: Vocabulary, limit: int) -> np.ndarray:
    """Indices of the pairs with a side of more than `limit` pieces, or of none."""
    lengths = EncodedText.of(text, vocabulary).lengths - 1
    return np.nonzero((lengths > limit).any(0) | (lengths == 0).any(0))[0]


def without(text: ParallelText, rows: Sequence[int] | np.ndarray) -> ParallelText:
    """The text less the given rows."""
    gone = set(map(int, rows))
    keep = [i for i in range(len(text.source)) if i not in gone]
    return ParallelText([text.source[i] for i in keep], [text.target[i] for i in keep])
