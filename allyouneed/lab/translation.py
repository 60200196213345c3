"""Small translators for experiments: parallel text of one's own, or the embedded grammar."""

from typing import NamedTuple

from allyouneed.data.grammar import generate
from allyouneed.data.parallel import ParallelText, read_corpus
from allyouneed.data.subwords import Subwords
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.lab.claim import Trial
from allyouneed.tasks.translation import Learning, TranslationTask, Vocabulary


class Lesson(NamedTuple):
    """What all translators of an experiment learn."""

    train: ParallelText
    held_out: ParallelText
    subwords: Subwords

    def task(self, seed: int, smoothing: float = 0.1, batch_tokens: int = 4096) -> TranslationTask:
        learning = Learning(smoothing=smoothing, batch_tokens=batch_tokens, seed=seed)
        search = DecodingSettings(beam=1, fit_length_penalty=False)
        return TranslationTask(self.train, self.held_out, Vocabulary(self.subwords, self.subwords), learning, search)


def lesson(trial: Trial, pieces: int = 4000, rows: int = 30_000, judged: int = 500) -> Lesson:
    """The text that `--data DIR` holds (`train.de train.en val.de ...`), or the embedded grammar's."""
    corpus = generate("de-en") if trial.data is None else read_corpus(trial.data, None, None)
    rows, judged = (1500, 16) if trial.quick else (rows, judged)
    train = ParallelText(corpus.train.source[:rows], corpus.train.target[:rows])
    held_out = ParallelText(corpus.val.source[:judged], corpus.val.target[:judged])
    return Lesson(train, held_out, Subwords.train([*train.source, *train.target], "bpe", pieces))
