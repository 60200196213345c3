"""The vocabulary of a published encoder: tokenizer.json, BERT's vocab.txt, or ALBERT's SentencePiece file.

The trap of ALBERT's file: the library that made it is not what `transformers` runs. There the text is put into lower
case and stripped of accents first, control and user-defined pieces are found before all others, and words are cut at
white space; the ids here are those.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.data.encoder_unigram import unigram
from allyouneed.data.wordpiece import read_vocabulary, wordpiece
from allyouneed.errors import UserError
from allyouneed.weights.files import read_json
from allyouneed.weights.sentencepiece_file import CONTROL, KINDS, NORMAL, UNIGRAM, USER_DEFINED, fields

NAMES = ("tokenizer.json", "vocab.txt", "spiece.model")


def read_tokenizer(folder: str | Path, vocab_size: int | None = None) -> EncoderSubwords:
    """The folder's tokenizer. Raises UserError where there is none, or where it has more pieces than `vocab_size`,
    the rows of the model's table."""
    folder = Path(folder)
    path = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if path is None:
        raise UserError(f"{folder} holds no vocabulary; it should have {', '.join(NAMES[:-1])} or {NAMES[-1]}")
    config = folder / "tokenizer_config.json"
    subwords = OPENERS[path.name](path, read_json(config) if config.is_file() else {})
    if vocab_size is not None:
        _check_size(subwords, path, vocab_size)
    return subwords


def _check_size(subwords: EncoderSubwords, path: Path, vocab_size: int) -> None:
    highest = len(subwords) - 1
    if highest >= vocab_size:
        piece = subwords.tokenizer.id_to_token(highest)
        raise UserError(
            f"{path} does not fit the model's table of {vocab_size:,} rows: its piece {piece!r} has the id {highest:,}"
        )


def _tokenizer_json(path: Path, config: Mapping[str, Any]) -> EncoderSubwords:
    return EncoderSubwords.load(path)


def _vocab_txt(path: Path, config: Mapping[str, Any]) -> EncoderSubwords:
    strip = config.get("strip_accents")
    return EncoderSubwords(
        wordpiece(
            read_vocabulary(path),
            lowercase=config.get("do_lower_case", True),
            accents=None if strip is None else not strip,
            chinese=config.get("tokenize_chinese_chars", True),
        )
    )


def _spiece(path: Path, config: Mapping[str, Any]) -> EncoderSubwords:
    return EncoderSubwords(
        sentencepiece(path, config.get("do_lower_case", True), accents=config.get("keep_accents", False))
    )


OPENERS = {"tokenizer.json": _tokenizer_json, "vocab.txt": _vocab_txt, "spiece.model": _spiece}


def sentencepiece(path: Path, lowercase: bool = True, accents: bool = False) -> Tokenizer:
    """A SentencePiece unigram file as ALBERT's tokenizer. Raises UserError for one that is damaged or of another kind."""
    try:
        message = list(fields(path.read_bytes()))
        entries = [dict(fields(value)) for number, value in message if number == 1]
        pieces = [(entry[1].decode("utf-8"), _score(entry)) for entry in entries]
        kinds = [entry.get(3, NORMAL) for entry in entries]
        trainer, normalizer = (
            {key: value for number, part in message if number == n for key, value in fields(part)} for n in (2, 3)
        )
    except (ValueError, KeyError, IndexError, struct.error, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a SentencePiece model ({error}); copy it again") from None
    kind = trainer.get(3, UNIGRAM)
    if kind != UNIGRAM:
        raise UserError(f"{path} is a SentencePiece model of the kind {KINDS.get(kind, kind)}; ALBERT's is unigram")
    if not pieces:
        raise UserError(f"{path} holds no pieces, so it is not a SentencePiece model; copy it again")
    whole = [piece for (piece, _), kind in zip(pieces, kinds, strict=True) if kind in (CONTROL, USER_DEFINED)]
    return unigram(pieces, trainer.get(40, 0), lowercase, accents, normalizer.get(2, b""), whole)


def _score(entry: Mapping[int, Any]) -> float:
    return struct.unpack("<f", entry[2])[0] if 2 in entry else 0.0
