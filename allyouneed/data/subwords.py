"""Subwords trained inside: raw text in, ids out, raw text back. Built on Hugging Face `tokenizers`; one JSON file.

Text is put into Unicode's NFC form and white space is folded; nothing else is changed, so decoding gives back what a
person wrote, in any script. Spaces become the visible mark ▁ inside the pieces, as SentencePiece does it.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from allyouneed.errors import UserError

PAD, BOS, EOS, UNK = range(4)
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
Kind = Literal["bpe", "unigram", "bytes"]


def _normalizer() -> normalizers.Normalizer:
    return normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])


def _pieces() -> Tokenizer:
    """Words with their space, punctuation and digits apart: a full stop must not make a new word of its neighbour."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    apart = [pre_tokenizers.Punctuation("isolated"), pre_tokenizers.Digits(individual_digits=True)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), *apart])
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def _bpe(size: int) -> tuple[Tokenizer, trainers.Trainer]:
    return _pieces(), trainers.BpeTrainer(
        vocab_size=size, special_tokens=SPECIAL, show_progress=False, limit_alphabet=max(size // 2, 100)
    )


def _unigram(size: int) -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = _pieces()
    tokenizer.model = models.Unigram()
    return tokenizer, trainers.UnigramTrainer(
        vocab_size=size, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )


def _bytes(size: int) -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return tokenizer, trainers.BpeTrainer(
        vocab_size=max(size, len(alphabet) + len(SPECIAL)),
        special_tokens=SPECIAL,
        show_progress=False,
        initial_alphabet=alphabet,
    )


KINDS: dict[str, Callable[[int], tuple[Tokenizer, trainers.Trainer]]] = {
    "bpe": _bpe,
    "unigram": _unigram,
    "bytes": _bytes,
}


class Subwords:
    """A trained tokeniser. Ids: pad 0, start 1, end 2, unknown 3; `encode` adds none of them."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        for index, token in enumerate(SPECIAL):
            if tokenizer.token_to_id(token) != index:
                raise UserError(f"This tokenizer has no {token} with id {index}, so it is not one of allyouneed's.")

    @classmethod
    def train(cls, lines: Iterable[str], kind: Kind = "bpe", vocab_size: int = 8000) -> "Subwords":
        """Learns at most `vocab_size` pieces; small corpora give fewer."""
        tokenizer, trainer = KINDS[kind](vocab_size)
        tokenizer.normalizer = _normalizer()
        tokenizer.train_from_iterator(lines, trainer)
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path) -> "Subwords":
        try:
            return cls(Tokenizer.from_file(str(path)))
        except UserError:
            raise
        except Exception as error:  # the library raises bare Exception for every kind of fault
            raise UserError(f"{path} is not a readable tokenizer file ({error}); was the run copied whole?") from error

    def save(self, path: Path) -> None:
        self.tokenizer.save(str(path))

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        # A special token's spelling inside a user's text is text: "</s>" must not end a sentence.
        self.tokenizer.encode_special_tokens = True
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(lines, add_special_tokens=False)]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        lines = self.tokenizer.decode_batch([list(row) for row in ids], skip_special_tokens=True)
        return [line.strip() for line in lines]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The pieces as they are spelled, for pictures."""
        return [self.tokenizer.id_to_token(int(index)) or "?" for index in ids]

    def normalized(self, line: str) -> str:
        """What `decode(encode(line))` gives back when no piece is unknown."""
        return self.tokenizer.normalizer.normalize_str(line) if self.tokenizer.normalizer else line

    def unknown_rate(self, lines: Sequence[str]) -> float:
        """The share of pieces that are unknown."""
        ids = [index for row in self.encode(lines) for index in row]
        return sum(index == UNK for index in ids) / max(len(ids), 1)

    def round_trip(self, lines: Sequence[str]) -> list[int]:
        """Numbers, from 1, of the lines that do not come back as they were (white space folded)."""
        back = self.decode(self.encode(lines))
        return [i for i, (line, got) in enumerate(zip(lines, back, strict=True), 1) if self.normalized(line) != got]


class SampledSubwords:
    """BPE-dropout (Provilkov et al. 2020, https://arxiv.org/abs/1910.13267): merges are left out at random.

    The library's own dropout cannot be seeded, which would break exact resumption. Here every distinct word gets a
    number of sampled spellings once, and a sentence draws among them with a generator of (seed, epoch).
    """

    SPELLINGS = 12

    def __init__(self, subwords: Subwords, dropout: float, seed: int):
        import json

        model = json.loads(subwords.tokenizer.to_str())["model"]
        if model["type"] != "BPE":
            raise UserError("data.bpe_dropout needs data.subwords=bpe; for unigram there is no dropout of merges.")
        self.subwords, self.dropout, self.seed = subwords, dropout, seed
        self.vocabulary: dict[str, int] = model["vocab"]
        self.ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        self.spellings: dict[str, list[list[int]]] = {}

    def words(self, line: str) -> list[str]:
        tokenizer = self.subwords.tokenizer
        return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(self.subwords.normalized(line))]

    def spell(self, word: str, draw: random.Random) -> list[int]:
        pieces = list(word)
        while len(pieces) > 1:
            ranked = [(self.ranks.get(pair, -1), at) for at, pair in enumerate(zip(pieces, pieces[1:], strict=False))]
            possible = [(rank, at) for rank, at in ranked if rank >= 0 and draw.random() >= self.dropout]
            if not possible:
                break
            _, at = min(possible)
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
        return [self.vocabulary.get(piece, UNK) for piece in pieces]

    def sampled(self, word: str) -> list[list[int]]:
        if word not in self.spellings:
            draw = random.Random(f"{self.seed} {word}")
            self.spellings[word] = [self.spell(word, draw) for _ in range(self.SPELLINGS)]
        return self.spellings[word]

    def encode(self, words: Sequence[Sequence[str]], epoch: int) -> list[list[int]]:
        """Lines given as words (see `words`), spelled anew for each epoch."""
        draw = random.Random(f"{self.seed} {epoch}")
        return [
            [index for word in line for index in self.sampled(word)[draw.randrange(self.SPELLINGS)]] for line in words
        ]
