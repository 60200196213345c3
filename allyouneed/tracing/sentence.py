"""One sentence inside a translator: how its translation was searched, and which piece looked at which."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from allyouneed.data.subwords import BOS, EOS
from allyouneed.decoding.penalties import Penalty, length_penalty
from allyouneed.tracing.beam_tree import Spell, Watching, searched, tree
from allyouneed.tracing.manifest import ModelCard
from allyouneed.tracing.seeing import Seen, see, sequence
from allyouneed.tracing.trace import Trace

SECOND = (
    "The model searched its translation, then read source and translation once more: these are the weights of "
    "that reading."
)


def look_inside(
    translator: Any, line: str, settings: Any, card: ModelCard, languages: Sequence[str | None] = (None, None)
) -> Trace:
    """Translates a line that is not empty, watched, then lets the model read source and translation once more.

    `translator` is a `decoding.translate.Translator`, `settings` are those of decoding. UserError if its model has
    nothing to record.
    """
    source, target, watching = translator.source, translator.target, Watching()
    translator.model.eval()
    with watching.over(translator.ready(settings.precision)):
        found = translator.watched(line, settings, watching)
    whole = source.encode([line])[0]
    read = [*whole[: settings.max_source], EOS]
    seen = reading(
        translator.model, read, [*found.ids, EOS], card, (_speller(source), _speller(target)), languages,
        input=line, output=found.text,
    )  # fmt: skip
    if len(read) <= len(whole):
        seen.manifest.notes.append(f"Only the first {settings.max_source:,} pieces of the source were read.")
    penalty = length_penalty(settings.penalty, settings.length_penalty)
    return with_beam(seen, watching, found.ids, penalty, settings, _speller(target))


def reading(
    model: nn.Module, read: list[int], written: list[int], card: ModelCard, spell: tuple[Spell, Spell],
    languages: Sequence[str | None] = (None, None), **said: str,
) -> Seen:  # fmt: skip
    """The pass of training: the model reads a source and all that was written, each piece in the place of the next.

    `read` and `written` end with the end token. A row of cross-attention is named by the piece that it serves to
    write, one of the decoder's by the piece that it has read.
    """
    given = [BOS, *written[:-1]]
    spaces = {
        "source": sequence("source", spell[0](read), [len(read) - 1], languages[0]),
        "target": sequence("translation", spell[1](written), [len(written) - 1], languages[1]),
        "read": sequence("translation, as it was read", spell[1](given), [0], languages[1]),
    }
    seen = see(model, [torch.tensor([read]), torch.tensor([given])], spaces, card, **said)
    for relation in seen.manifest.relations.values():
        relation.note = relation.note or SECOND
    return seen


def with_beam(
    seen: Seen, watching: Watching, ids: Sequence[int], penalty: Penalty, settings: Any, spell: Spell
) -> Trace:
    """The trace with the search that led to `ids`, and what it read on the way."""
    cross = seen.manifest.relations.get("cross")
    grown = tree(watching, ids, EOS, penalty, spell)
    beam, arrays = searched(watching, grown, settings, cross.layers if cross else [])
    manifest = seen.manifest.model_copy(update={"beam": beam})
    return Trace(manifest, {**seen.arrays, **arrays})


def _speller(subwords: Any) -> Spell:
    def spell(ids: Sequence[int]) -> list[str]:
        """▁ begins a word, and bytes are shown as the letters they make where they make some."""
        spelled = []
        for index, piece in zip(ids, subwords.pieces(ids), strict=True):
            text = subwords.decode([[index]])[0]
            begins = piece[:1] in "▁Ġ" and len(piece) > 1
            readable = bool(text) and "\ufffd" not in text
            spelled.append(("▁" if begins else "") + text if readable else piece)
        return spelled

    return spell


def choose_sentence(lines: Sequence[str], subwords: Any, least: int = 5, most: int = 13) -> str | None:
    """The first line with a length that makes a legible picture, or else the shortest."""
    lengths = {line: len(ids) for line, ids in zip(lines, subwords.encode(list(lines)), strict=True) if ids}
    fitting = [line for line in lengths if least <= lengths[line] <= most]
    return fitting[0] if fitting else min(lengths, key=lambda line: lengths[line], default=None)
