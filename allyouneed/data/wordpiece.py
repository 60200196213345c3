"""WordPiece as BERT has it: words cut at spaces and punctuation, Chinese at every character, then the longest piece first.

Text is cleaned, put into lower case and stripped of accents where the vocabulary is uncased. A piece that goes on with
a word is spelled with `##`; a word that cannot be spelled to its end is one unknown as a whole.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from allyouneed.data.files import read_lines
from allyouneed.errors import UserError

MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LONGEST_WORD = 100
"""Longer words are unknown. Hugging Face's number; Google's code has 200."""
EMPTY = "\U00040000"
"""From here on Unicode assigns nothing that a text would hold, as much as there is before."""


def wordpiece(
    vocabulary: Mapping[str, int], lowercase: bool = True, accents: bool | None = None, chinese: bool = True
) -> Tokenizer:
    """The tokenizer of a vocabulary. `accents` None keeps them in a cased vocabulary and strips them in an uncased one;
    `chinese` takes each Chinese character for a word."""
    tokenizer = Tokenizer(
        models.WordPiece(dict(vocabulary), unk_token="[UNK]", max_input_chars_per_word=LONGEST_WORD)  # type: ignore[arg-type]
    )
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=chinese, lowercase=lowercase,
        strip_accents=None if accents is None else not accents,
    )  # fmt: skip
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens([mark for mark in MARKS if mark in vocabulary])
    return tokenizer


def read_vocabulary(path: Path) -> dict[str, int]:
    """A `vocab.txt`, one piece a line; its line number, from 0, is its id."""
    vocabulary = {piece: index for index, piece in enumerate(read_lines(path))}
    missing = [mark for mark in MARKS if mark not in vocabulary]
    if missing:
        raise UserError(f"{path} is not a BERT vocabulary: it has no line {missing[0]}.")
    return vocabulary


def train_wordpiece(lines: Iterable[str], vocab_size: int, lowercase: bool = True) -> Tokenizer:
    """Learns at most `vocab_size` pieces, the same ones for the same lines.

    Pieces are chosen as in BPE, by the frequency of pairs and not by likelihood, as the library does it, too. Its own
    trainer numbers the letters that go on with a word in the order of a hash table, so that two trainings differ. Here
    such letters are letters of their own, from a part of Unicode that is empty, and BPE's trainer never meets `##`.
    """
    outside = wordpiece({"[UNK]": 0}, lowercase)
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.train_from_iterator(
        (" ".join(_shifted(word) for word in _words(outside, line)) for line in lines),
        trainers.BpeTrainer(
            vocab_size=vocab_size - len(MARKS), min_frequency=2, show_progress=False,
            limit_alphabet=max(vocab_size // 2, 100),
        ),
    )  # fmt: skip
    learnt = sorted(inner.get_vocab().items(), key=lambda entry: entry[1])
    pieces = [*MARKS, *(_unshifted(piece) for piece, _ in learnt)]
    return wordpiece({piece: index for index, piece in enumerate(pieces)}, lowercase)


def _words(tokenizer: Tokenizer, line: str) -> Iterator[str]:
    normal = tokenizer.normalizer.normalize_str(line)
    return (word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal) if max(word) < EMPTY)


@lru_cache(1 << 16)
def _shifted(word: str) -> str:
    return word[0] + "".join(chr(ord(letter) + ord(EMPTY)) for letter in word[1:])


def _unshifted(piece: str) -> str:
    letters = "".join(letter if letter < EMPTY else chr(ord(letter) - ord(EMPTY)) for letter in piece)
    return letters if piece[0] < EMPTY else "##" + letters
