"""SentencePiece `.model` / `.spm` files, read without the library, and their unigram model as a `tokenizers` one.

The file is a protocol buffer (sentencepiece_model.proto of https://github.com/google/sentencepiece): pieces with scores
and types, the trainer's settings, and the normalizer's compiled table. The `tokenizers` library knows all of them, so
a text gets the same pieces: the same normal form, the mark ▁ before each word, the segmentation of the highest sum of
scores, 10 below the lowest score for a character that no piece has, and neighbours of that kind as one unknown.

Marian has a trap of its own: it looks an unknown piece up by its spelling in a vocabulary that holds the other
language's pieces too. So a lone strange character may be known after all, and two side by side are not.
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from allyouneed.data.subwords import SPECIAL, UNK, Subwords
from allyouneed.errors import UserError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
UNIGRAM = 1
KINDS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}
STRANGE = "\ue000"  # stands for characters side by side that no piece has
LITERALS = r"<(?=/s>|s>|pad>|unk>)"  # where the spelling of a special token is cut in two, so that it stays text


class SentencePieces(NamedTuple):
    """What a file says. `pieces` are those that a text may be cut into, with their scores."""

    pieces: list[tuple[str, float]]
    charsmap: bytes  # the compiled normalizer; empty: none
    dummy_prefix: bool
    fold_spaces: bool


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protocol buffer message: number and value (int, 4 or 8 raw bytes, or bytes)."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"wire type {kind}")
        size, at = _varint(data, at) if kind == 2 else ((8 if kind == 1 else 4), at)
        if at + size > len(data):
            raise ValueError("the file ends in the middle")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def read_pieces(path: Path) -> SentencePieces:
    """A SentencePiece file. Raises UserError for one that is damaged or of a kind that cannot be expressed."""
    try:
        message = list(fields(path.read_bytes()))
        typed = [_piece(dict(fields(value))) for number, value in message if number == 1]
        trainer = _merged(message, 2)
        normalizer = _merged(message, 3)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, IndexError, struct.error, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a SentencePiece model ({error}); copy it again") from None
    _check(path, typed, trainer)
    pieces = [(piece, score) for piece, score, kind in typed if kind == NORMAL]
    return SentencePieces(pieces, normalizer.get(2, b""), bool(normalizer.get(3, 1)), bool(normalizer.get(4, 1)))


def _merged(message: Sequence[tuple[int, Any]], number: int) -> dict[int, Any]:
    return {key: value for n, part in message if n == number for key, value in fields(part)}


def _piece(entry: dict[int, Any]) -> tuple[str, float, int]:
    score = struct.unpack("<f", entry[2])[0] if 2 in entry else 0.0
    return entry[1].decode("utf-8"), score, entry.get(3, NORMAL)


def _check(path: Path, typed: Sequence[tuple[str, float, int]], trainer: dict[int, Any]) -> None:
    kind = trainer.get(3, UNIGRAM)
    if kind != UNIGRAM:
        raise UserError(
            f"{path} is a SentencePiece model of the kind {KINDS.get(kind, kind)}; only unigram can be read"
        )
    for name, found in (("user-defined", USER_DEFINED), ("byte", BYTE)):
        if any(entry[2] == found for entry in typed):
            raise UserError(
                f"{path} has {name} pieces, which this import cannot express; only plain unigram can be read"
            )
    if trainer.get(24, 0):
        raise UserError(f"{path} marks the ends of words (treat_whitespace_as_suffix), which cannot be expressed here")
    if not typed:
        raise UserError(f"{path} holds no pieces, so it is not a SentencePiece model; copy it again")


def as_subwords(file: SentencePieces, pieces: Sequence[tuple[str, float]], codes: Sequence[str] = ()) -> Subwords:
    """Subwords that normalise as the file says and know `pieces` (ids from 4 on), then `codes`, each kept whole.

    `pieces` may hold more than the file's own: lone characters, and words that `decode` alone has a use for.
    """
    vocabulary = [(token, 0.0) for token in SPECIAL] + list(pieces)
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=UNK))
    tokenizer.normalizer = _normalizer(file)
    scheme = "always" if file.dummy_prefix else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False),
            pre_tokenizers.Split(Regex(LITERALS), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens([AddedToken(code, normalized=False) for code in codes])
    return Subwords(tokenizer)


def _normalizer(file: SentencePieces) -> normalizers.Normalizer:
    steps: list[normalizers.Normalizer] = [normalizers.Precompiled(file.charsmap)] if file.charsmap else []
    if file.fold_spaces:
        steps += [normalizers.Replace(Regex("^ +| +$"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    known = {piece for piece, _ in file.pieces if len(piece) == 1} | {" "}
    characters = "".join(f"\\x{{{ord(character):x}}}" for character in sorted(known))
    return normalizers.Sequence([*steps, normalizers.Replace(Regex(f"[^{characters}]{{2,}}"), STRANGE)])
