"""A Marian checkpoint folder, as Hugging Face stores it, becomes a run that translates.

Here pad, start, end and unknown are 0 to 3; there they are anything, and padding is the start too. So the rows of the
tables move, the start gets a copy of the row that Marian starts from, and as a word it is made impossible. The source
gets a table of its own, one row for each piece that its tokenizer can make (several may be Marian's unknown); the
target keeps all words, for each takes its share of the softmax.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from allyouneed.data.subwords import BOS, SPECIAL, Subwords
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.errors import UserError
from allyouneed.models.transformer import TransformerConfig
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.job import settings_class
from allyouneed.recipes.translation import KIND
from allyouneed.recipes.whole import write_whole
from allyouneed.tasks.translation import Vocabulary
from allyouneed.training.checkpoint import save_tensors
from allyouneed.weights.files import read_json
from allyouneed.weights.marian import load_marian
from allyouneed.weights.sentencepiece_file import SentencePieces, as_subwords, read_pieces

SOURCE, TARGET, HEAD, BIAS = (
    "source.embedding.table.weight",
    "target.embedding.table.weight",
    "head.weight",
    "head.bias",
)
IMPOSSIBLE = -1e4  # a logit whose probability is 0 in any float, and still a number that training can live with
NEVER_CHOSEN = -1e5  # the score of a target word that the target's own tokenizer does not make


class Side(NamedTuple):
    """One side's tokenizer here, and for each of its ids the row of Marian's table."""

    subwords: Subwords
    rows: list[int]


class Ids(NamedTuple):
    """Marian's own ids of what every house has."""

    pad: int
    start: int
    eos: int
    unk: int


def import_marian(folder: Path, out: Path) -> list[str]:
    """Writes the run `out` from a Marian folder; returns what a user should know. Raises UserError at every door."""
    model, config = load_marian(folder)
    words, target_words, ids = _vocabularies(folder, config)
    source = source_side(read_pieces(folder / "source.spm"), words, ids)
    target = target_side(read_pieces(folder / "target.spm"), target_words, ids, config.vocab_size)
    sizes = {"source_vocab_size": len(source.rows), "vocab_size": len(target.rows)}
    tie = {"tie": "none" if config.tie == "none" else "decoder"}
    new = TransformerConfig(**{**config.model_dump(), **sizes, **tie})
    settings = settings_class(KIND, "transformer")(model=new, decoding=_decoding(folder))
    tensors = moved(model.state_dict(), source.rows, target.rows)
    write_whole(
        out, lambda aside: _write(aside, folder, settings, Vocabulary(source.subwords, target.subwords), tensors)
    )
    return _notes(words)


def source_side(file: SentencePieces, words: Mapping[str, int], ids: Ids) -> Side:
    """The source's tokenizer and rows: its pieces, and the codes like >>fra<< that name a target language."""
    codes = [word for word in words if word.startswith(">>") and word.endswith("<<")]
    pieces = [(piece, score) for piece, score in file.pieces if piece not in SPECIAL and piece not in codes]
    own = {piece for piece, _ in pieces}
    pieces += [(word, 0.0) for word in words if len(word) == 1 and word not in own]
    rows = [*ids, *(words.get(piece, ids.unk) for piece, _ in pieces), *(words[code] for code in codes)]
    return Side(as_subwords(file, pieces, codes), rows)


def target_side(file: SentencePieces, words: Mapping[str, int], ids: Ids, size: int) -> Side:
    """The target's tokenizer and rows: all words of the table in their order, Marian's start aside."""
    named = {row: word for word, row in words.items()}
    rows = [row for row in range(size) if row not in (ids.pad, ids.eos, ids.unk)]
    scores = dict(file.pieces)
    pieces = []
    for row in rows:
        word = named.get(row, f"<row {row}>")
        alone = 0.0 if len(word) == 1 else NEVER_CHOSEN
        pieces.append((f"{word} ({row})" if word in SPECIAL else word, scores.get(word, alone)))
    return Side(as_subwords(file, pieces), [*ids, *rows])


def moved(tensors: Mapping[str, Tensor], source: Sequence[int], target: Sequence[int]) -> dict[str, Tensor]:
    """The weights with the rows of each table in the order of our ids."""
    new = dict(tensors)
    new[SOURCE] = tensors[SOURCE][torch.tensor(source)]
    for name in (TARGET, HEAD, BIAS):
        new[name] = tensors[name][torch.tensor(target)]
    new[BIAS][BOS] = IMPOSSIBLE  # it is no word of Marian's, and takes no share of the softmax
    if torch.equal(new[TARGET], new[HEAD]):
        new[HEAD] = new[TARGET]  # stored once
    return new


def _vocabularies(folder: Path, config: TransformerConfig) -> tuple[dict[str, int], dict[str, int], Ids]:
    numbers = read_json(folder / "config.json")
    words = read_json(folder / "vocab.json")
    separate = (folder / "target_vocab.json").is_file()
    target = read_json(folder / "target_vocab.json") if separate else words
    for name, found, size in (("vocab.json", words, config.source_vocab_size or config.vocab_size),
                              ("target_vocab.json" if separate else "vocab.json", target, config.vocab_size)):  # fmt: skip
        wrong = [row for row in found.values() if not isinstance(row, int) or not 0 <= row < size]
        if wrong or "<unk>" not in found:
            raise UserError(
                f"{folder / name} does not fit the model's table of {size:,} rows: "
                + (f"it has the id {wrong[0]}" if wrong else "it has no <unk>")
            )
    pad = numbers.get("pad_token_id", config.vocab_size - 1)
    start = numbers.get("decoder_start_token_id", pad)
    eos = numbers.get("eos_token_id", 0)
    if target["<unk>"] != words["<unk>"]:
        raise UserError(
            f"{folder}: <unk> has two ids, {words['<unk>']} and {target['<unk>']}, which is not Marian's way"
        )
    return words, target, Ids(pad, start, eos, words["<unk>"])


def _decoding(folder: Path) -> DecodingSettings:
    """The search that the folder asks for; transformers divides by the length to a power, our penalty `average`."""
    asked = read_json(folder / "config.json")
    if (folder / "generation_config.json").is_file():
        asked = {**asked, **read_json(folder / "generation_config.json")}
    return DecodingSettings(
        beam=asked.get("num_beams") or 1,
        penalty="average",
        length_penalty=asked.get("length_penalty", 1.0),
        max_source=asked.get("max_position_embeddings") or 512,
        max_extra=200,
    )


def _write(aside: Path, folder: Path, settings: Any, vocabulary: Vocabulary, tensors: Mapping[str, Tensor]) -> None:
    known = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    facts = {"train": 0, "val": 0, "sha256": "", "imported_from": str(folder)}
    languages = {side: known.get(f"{side}_lang") or side for side in ("source", "target")}
    run_folder.save_vocabulary(vocabulary, aside)
    (aside / "data.json").write_text(json.dumps({**facts, **languages}, indent=1))
    save_tensors(aside / "model.safetensors", tensors)
    run_folder.save_settings(settings, aside)


def _notes(words: Mapping[str, int]) -> list[str]:
    codes = sorted(word for word in words if word.startswith(">>") and word.endswith("<<"))
    if not codes:
        return []
    shown = ", ".join([*codes[:5], *(["..."] if len(codes) > 5 else [])])
    return [f"a line must begin with the code of its target language, as in '{codes[0]} Hello.' (known: {shown})"]
