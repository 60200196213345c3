"""Subwords of encoders: pieces with the marks that BERT's kind puts between texts, `[CLS] a [SEP] b [SEP]` and `[MASK]`.

The ids of the marks are the vocabulary's own: 0 to 4 in one that is trained here, 0 and 100 to 103 in BERT's.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from tokenizers import Tokenizer, models

from allyouneed.data.encoder_unigram import train_unigram
from allyouneed.data.wordpiece import train_wordpiece
from allyouneed.errors import UserError

EncoderKind = Literal["wordpiece", "unigram"]
TRAINERS: dict[str, Callable[[Iterable[str], int, bool], Tokenizer]] = {
    "wordpiece": train_wordpiece,
    "unigram": train_unigram,
}
SPELLINGS = {"pad": ("[PAD]", "<pad>"), "unk": ("[UNK]", "<unk>"), "cls": ("[CLS]",), "sep": ("[SEP]",),
             "mask": ("[MASK]",)}  # fmt: skip


class Marks(NamedTuple):
    """The ids of what is no text."""

    pad: int
    unk: int
    cls: int
    sep: int
    mask: int


class Marked(NamedTuple):
    """A text or a pair as a model reads it."""

    ids: list[int]
    segments: list[int]  # 0 up to the first [SEP], 1 after it


class Words(NamedTuple):
    """A text given as words, in pieces."""

    ids: list[int]
    word: list[int]  # the word, from 0, that each piece belongs to


class Places(NamedTuple):
    """A text in pieces, with the characters that each stands for."""

    ids: list[int]
    spans: list[tuple[int, int]]  # from, to, in the text as it was given


class EncoderSubwords:
    """A tokenizer for encoders. `encode` adds no marks; `single` and `pair` do."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        found = {name: [tokenizer.token_to_id(text) for text in texts] for name, texts in SPELLINGS.items()}
        for name, ids in found.items():
            if all(index is None for index in ids):
                raise UserError(
                    f"This tokenizer has no {' or '.join(SPELLINGS[name])}, so it is not one of BERT's or ALBERT's kind."
                )
        self.marks = Marks(**{name: next(i for i in ids if i is not None) for name, ids in found.items()})

    @classmethod
    def train(
        cls, lines: Iterable[str], kind: EncoderKind = "wordpiece", vocab_size: int = 8000, lowercase: bool = True
    ) -> "EncoderSubwords":
        """Learns at most `vocab_size` pieces; small corpora give fewer."""
        return cls(TRAINERS[kind](lines, vocab_size, lowercase))

    @classmethod
    def load(cls, path: Path) -> "EncoderSubwords":
        """A `tokenizer.json`."""
        try:
            return cls(Tokenizer.from_file(str(path)))
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        except Exception as error:  # the library raises bare Exception for every kind of fault
            raise UserError(f"{path} is not a readable tokenizer file ({error}); was it copied whole?") from error

    def save(self, path: Path) -> None:
        self.tokenizer.encode_special_tokens = False
        self.tokenizer.save(str(path))

    def __len__(self) -> int:
        """Rows that a table of these ids needs: a published vocabulary may have gaps."""
        return self._rows

    @cached_property
    def _rows(self) -> int:
        return max(self.tokenizer.get_vocab().values()) + 1

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Pieces of each line. A mark's spelling inside a text is text: "[SEP]" must not end a sentence."""
        self.tokenizer.encode_special_tokens = True
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(lines, add_special_tokens=False)]

    def encode_marked(self, line: str) -> list[int]:
        """The same for a text whose "[MASK]" is meant as one."""
        self.tokenizer.encode_special_tokens = False
        return self.tokenizer.encode(line, add_special_tokens=False).ids

    def words(self, words: Sequence[str]) -> Words:
        """Pieces of a text that comes in words, as tagged text does."""
        self.tokenizer.encode_special_tokens = True
        encoding = self.tokenizer.encode(list(words), is_pretokenized=True, add_special_tokens=False)
        return Words(encoding.ids, [index for index in encoding.word_ids if index is not None])

    def places(self, line: str) -> Places:
        """Pieces with the characters that they stand for, as answers in a passage need them."""
        self.tokenizer.encode_special_tokens = True
        encoding = self.tokenizer.encode(line, add_special_tokens=False)
        return Places(encoding.ids, encoding.offsets)

    def single(self, ids: Sequence[int], longest: int | None = None) -> Marked:
        """`[CLS] ids [SEP]`, cut at the end to `longest` in all."""
        kept = list(ids)[: None if longest is None else max(longest - 2, 0)]
        return Marked([self.marks.cls, *kept, self.marks.sep], [0] * (len(kept) + 2))

    def pair(self, first: Sequence[int], second: Sequence[int], longest: int | None = None) -> Marked:
        """`[CLS] first [SEP] second [SEP]`; to fit into `longest` the longer of the two is cut at its end first."""
        a, b = list(first), list(second)
        if longest is not None and len(a) + len(b) > (room := max(longest - 3, 0)):
            shorter = min(len(a), len(b), room // 2)  # keeps all it has, or half the room; the other takes the rest
            a, b = (a[:shorter], b[: room - shorter]) if len(a) <= len(b) else (a[: room - shorter], b[:shorter])
        ids = [self.marks.cls, *a, self.marks.sep, *b, self.marks.sep]
        return Marked(ids, [0] * (len(a) + 2) + [1] * (len(b) + 1))

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        return [line.strip() for line in self.tokenizer.decode_batch([list(row) for row in ids])]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The pieces as they are spelled."""
        return [self.tokenizer.id_to_token(int(index)) or "?" for index in ids]

    @cached_property
    def begins(self) -> np.ndarray:  # v, bool
        """Which pieces begin a word: what masking of whole words and tagging ask. Marks do."""
        pieces = self.pieces(range(len(self)))
        if isinstance(self.tokenizer.model, models.WordPiece):
            return np.array([not piece.startswith("##") for piece in pieces])
        return np.array([piece.startswith("▁") or index in self.marks for index, piece in enumerate(pieces)])

    def unknown_rate(self, lines: Sequence[str]) -> float:
        """The share of pieces that are unknown."""
        ids = [index for row in self.encode(lines) for index in row]
        return sum(index == self.marks.unk for index in ids) / max(len(ids), 1)
