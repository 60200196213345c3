"""Small encoders pre-trained inside an experiment, on documents of one's own or on made-up ones.

A made-up document has a topic, whose words no other topic has, and a clock: each sentence begins with a word of time that
comes later than the one before. So what texts are about can be told from words, and which comes first from the clock.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from allyouneed.data.documents import Document, Documents, read_documents
from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.data.masking import Hiding, Masking
from allyouneed.data.sentence_pairs import Instances
from allyouneed.lab.claim import Trial
from allyouneed.lab.training import train
from allyouneed.nn.encoder_heads import MaskedLanguageModel
from allyouneed.tasks.masked_lm import MaskedLMTask
from allyouneed.training.settings import TrainingSettings

TOPICS, OWN, TIMES, SENTENCES, WORDS = 24, 30, 10, 8, 6
HELD_OUT, LENGTH, BATCH = 0.05, 64, 2048


def words(count: int, draw: np.random.Generator) -> list[str]:
    """Different words of three syllables."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[
            "".join(f"{a}{b}" for a, b in zip(draw.choice(list("bdfgklmnprst"), 3), draw.choice(list("aeiou"), 3)))
        ] = None
    return list(found)


class World:
    """The words of the topics and of the clock: the same for every seed of an experiment."""

    def __init__(self) -> None:
        made = words(TOPICS * OWN + TIMES, np.random.default_rng(7))
        self.times, own = made[:TIMES], made[TIMES:]
        self.topics = [own[i * OWN : (i + 1) * OWN] for i in range(TOPICS)]
        self.shares = 1 / np.arange(1, OWN + 1) / (1 / np.arange(1, OWN + 1)).sum()

    def sentence(self, topic: int, draw: np.random.Generator) -> str:
        return " ".join(draw.choice(self.topics[topic], WORDS, p=self.shares))

    def hint(self, topic: int, draw: np.random.Generator) -> str:
        """Two words of a topic, rare ones as likely as frequent ones: little to go by."""
        return " ".join(draw.choice(self.topics[topic], 2))

    def document(self, draw: np.random.Generator) -> Document:
        topic, begin = int(draw.integers(TOPICS)), int(draw.integers(TIMES - SENTENCES + 1))
        return [f"{self.times[begin + i]} {self.sentence(topic, draw)}" for i in range(SENTENCES)]


def documents(trial: Trial) -> Documents:
    """Those that `--data` names, else made-up ones."""
    if trial.data is not None:
        return read_documents([trial.data], None, HELD_OUT, trial.seed)
    world, draw = World(), np.random.default_rng([11, trial.seed])
    made = [world.document(draw) for _ in range(200 if trial.quick else 6000)]
    held = max(2, round(HELD_OUT * len(made)))
    return Documents(made[held:], made[:held])


class Text(NamedTuple):
    """Documents in pieces."""

    subwords: EncoderSubwords
    train: list[list[list[int]]]
    val: list[list[list[int]]]

    @classmethod
    def of(cls, found: Documents, vocab_size: int = 2000) -> "Text":
        subwords = EncoderSubwords.train((s for document in found.train for s in document), "wordpiece", vocab_size)
        return cls(subwords, *([subwords.encode(document) for document in part] for part in found))

    def task(self, pair: str, seed: int, masking: Masking | None = None) -> MaskedLMTask:
        train, val = (Instances(part, self.subwords, LENGTH, pair) for part in (self.train, self.val))
        hiding = Hiding(self.subwords, masking or Masking())
        return MaskedLMTask(train, val, self.subwords, hiding, BATCH, seed)


def pretrained(
    model: MaskedLanguageModel, task: MaskedLMTask, steps: int, tick: Callable[[float], None], dim: int
) -> MaskedLanguageModel:
    """The model after so many updates."""
    settings = TrainingSettings(
        max_steps=steps, learning_rate=2e-3, warmup_steps=min(200, steps // 5), schedule="linear", ema_decay=0.0,
        label_smoothing=0.0, beta2=0.999, eps=1e-6, threads=1, seed=task.seed,
    )  # fmt: skip
    return train(model, task, settings, tick, dim)
