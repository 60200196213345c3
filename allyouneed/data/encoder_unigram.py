"""The unigram pieces of ALBERT: SentencePiece's segmentation of the highest probability, in lower case, without accents."""

import json
from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

MARKS = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
STEP = 0.0001


def unigram(
    pieces: Sequence[tuple[str, float]], unk: int, lowercase: bool = True, accents: bool = False, charsmap: bytes = b"",
    whole: Sequence[str] = (),
) -> Tokenizer:  # fmt: skip
    """The tokenizer of pieces with their scores, ids by their order.

    `accents` keeps them; `charsmap` is a SentencePiece file's compiled normalizer; `whole` are pieces that are found
    before all others and never cut.
    """
    tokenizer = Tokenizer(models.Unigram(list(pieces), unk_id=unk))
    _surround(tokenizer, lowercase, accents, charsmap)
    names = {piece for piece, _ in pieces}
    tokenizer.add_special_tokens([mark for mark in MARKS if mark in names])
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in whole if piece not in MARKS])
    return tokenizer


def _surround(tokenizer: Tokenizer, lowercase: bool, accents: bool, charsmap: bytes) -> None:
    """What happens to a text before and after its segmentation, in the order of ALBERT's published code."""
    steps: list[normalizers.Normalizer] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    steps += [] if accents else [normalizers.NFKD(), normalizers.StripAccents()]
    steps += [normalizers.Lowercase()] if lowercase else []
    steps += [normalizers.Precompiled(charsmap)] if charsmap else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")


def train_unigram(lines: Iterable[str], vocab_size: int, lowercase: bool = True) -> Tokenizer:
    """Learns at most `vocab_size` pieces, the same ones for the same lines."""
    tokenizer = Tokenizer(models.Unigram())
    _surround(tokenizer, lowercase, False, b"")
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size, special_tokens=MARKS, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(lines, trainer)
    learnt = json.loads(tokenizer.to_str())["model"]["vocab"]
    pieces = _settled([(piece, score) for piece, score in learnt if piece not in MARKS])
    return unigram([*((mark, 0.0) for mark in MARKS), *pieces], MARKS.index("<unk>"), lowercase)


def _settled(pieces: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Pieces in an order that does not change from run to run, as the library's does.

    It adds up in the order of a hash table, so scores are rounded here. Characters that no longer piece left over get
    the lowest scores there are, a step of 0.0001 apart, in the order of that table: here in the order of Unicode.
    """
    lowest = min((score for _, score in pieces), default=0.0)
    rare = {piece for piece, score in pieces if len(piece) == 1 and score <= lowest + STEP * len(pieces)}
    steps = sorted((score for piece, score in pieces if piece in rare), reverse=True)
    scores = {**dict(pieces), **dict(zip(sorted(rare), steps, strict=True))}
    rounded = [(piece, round(score, 6)) for piece, score in scores.items()]
    return sorted(rounded, key=lambda entry: (-entry[1], entry[0]))
