"""Pieces of running text, lossless to the letter: characters, bytes, or byte-level BPE.

Unlike the subwords of sentences nothing is normalised and line ends are pieces like all others, so that bits per
character mean what they say. Ids 0 to 3 are pad, start, end and unknown, as everywhere.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from allyouneed.data.subwords import EOS, SPECIAL, Subwords

CHUNK = 1 << 20  # characters handed to the tokenizer at once


def _characters(_: int) -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer, trainers.WordLevelTrainer(special_tokens=SPECIAL, show_progress=False)


def _byte_level(size: int, words: bool) -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=words)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    size = max(size, len(alphabet) + len(SPECIAL)) if words else len(alphabet) + len(SPECIAL)
    return tokenizer, trainers.BpeTrainer(
        vocab_size=size, special_tokens=SPECIAL, show_progress=False, initial_alphabet=alphabet
    )


KINDS = {
    "characters": _characters,
    "bytes": lambda size: _byte_level(size, False),
    "bpe": lambda size: _byte_level(size, True),
}


class RunningPieces(Subwords):
    """A tokenizer of running text; `decode_text(encode_text(text))` is the text where no character is unknown."""

    @classmethod
    def learn(cls, documents: Iterable[str], kind: str, vocab_size: int) -> "RunningPieces":
        """Learns the pieces from the training documents; `vocab_size` is for bpe alone."""
        tokenizer, trainer = KINDS[kind](vocab_size)
        tokenizer.train_from_iterator((line for document in documents for line in _lines(document)), trainer)
        return cls(tokenizer)

    def encode_text(self, text: str) -> np.ndarray:  # int32, n
        """The pieces of a document, without start and end."""
        rows = self.encode(list(_lines(text)))
        flat = (index for row in rows for index in row)
        return np.fromiter(flat, dtype=np.int32, count=sum(map(len, rows)))

    def encode_documents(self, documents: Sequence[str]) -> np.ndarray:  # int32, n
        """One stream; each document ends with the end token."""
        parts = [part for document in documents for part in (self.encode_text(document), [EOS])]
        return np.concatenate(parts).astype(np.int32)

    def decode_text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))


def _lines(text: str) -> Iterator[str]:
    """Lines with their ends, which no piece crosses, and never more than a chunk at once."""
    for line in text.splitlines(keepends=True):
        for begin in range(0, len(line), CHUNK):
            yield line[begin : begin + CHUNK]
