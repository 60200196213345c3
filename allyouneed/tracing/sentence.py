"""One sentence inside a translator: which piece looked at which, in every layer and head."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from allyouneed.tracing.record import record

MOST = 24
"""Pieces of a side that are drawn; a longer side is cut, and the picture says so."""

KINDS = {
    "encoder": ("^encoder", "Encoder self-attention"),
    "decoder": ("^decoder(?!.*\\dc\\b)", "Decoder self-attention, masked"),
    "cross": ("^decoder.*\\dc\\b", "Cross-attention"),
}
"""Which attention it is, told by where the module stands: `decoder.layers.1c...` is the c of a decoder's order string."""


class Map(NamedTuple):
    """The heads of one layer."""

    kind: str  # encoder, decoder, cross
    layer: int  # counted from 1 among its kind
    weights: Tensor  # h n m
    visible: Tensor  # h n m, False where masked
    queries: list[str]
    keys: list[str]


class Inside(NamedTuple):
    """What a translator did with a sentence."""

    source: list[str]  # pieces, with the end
    target: list[str]  # pieces of its own translation, with the end
    text: str  # the translation
    maps: list[Map]
    cut: bool  # whether a side was longer than MOST


def look_inside(translator: Any, line: str, settings: Any) -> Inside:
    """Translates the line, then lets the model read source and its own translation once more, recorded.

    `translator` has `model`, `source`, `target` (subwords) and `n_best`. UserError if its model has no attention.
    """
    model, source, target = translator.model, translator.source, translator.target
    found = translator.n_best([line], settings, 1)[0]
    ids, text = (list(found[0].ids), found[0].text) if found else ([], "")
    bos, eos = target.tokenizer.token_to_id("<s>"), target.tokenizer.token_to_id("</s>")
    whole = source.encode([line])[0]
    cut = len(whole) > MOST - 1 or len(ids) > MOST - 1
    read, written = [*whole[: MOST - 1], eos], [*ids, eos][:MOST]
    looks = _recorded(model, read, [bos, *written[:-1]])
    pieces = _spelled(source, read), _spelled(target, [bos, *written[:-1]]), _spelled(target, written)
    return Inside(pieces[0], pieces[2], text, _sorted(looks, *pieces), cut)


def _recorded(model: nn.Module, read: Sequence[int], given: Sequence[int]) -> dict[str, tuple[Tensor, Tensor]]:
    """Name -> (map, visible cells), each h n m."""
    device = next(model.parameters()).device
    tensors = [torch.tensor([list(ids)], device=device) for ids in (read, given)]
    with torch.no_grad(), record(model.eval()) as seen:
        model(*tensors)
    maps, visible = seen.maps(), seen.visible()
    return {name: (maps[name][0].float().cpu(), visible[name][0].cpu()) for name in maps}


def _sorted(
    looks: dict[str, tuple[Tensor, Tensor]], source: list[str], given: list[str], written: list[str]
) -> list[Map]:
    """The maps with their tokens. A row of cross-attention is named by the piece that it serves to write."""
    tokens = {"encoder": (source, source), "decoder": (given, given), "cross": (written, source)}
    maps = []
    for kind, (pattern, _) in KINDS.items():
        queries, keys = tokens[kind]
        names = [name for name in looks if re.search(pattern, name)]
        for layer, name in enumerate(names, 1):
            weights, visible = looks[name]
            if weights.shape[1:] == (len(queries), len(keys)):  # a model that pools or strides has other tokens
                maps.append(Map(kind, layer, weights, visible.expand_as(weights), queries, keys))
    return maps


def _spelled(subwords: Any, ids: Sequence[int]) -> list[str]:
    """Pieces for people: ▁ begins a word, and bytes are shown as the letters they make where they make some."""
    spelled = []
    for index, piece in zip(ids, subwords.pieces(ids), strict=True):
        text = subwords.decode([[index]])[0]
        begins = piece[:1] in "▁Ġ" and len(piece) > 1
        readable = bool(text) and "\ufffd" not in text
        spelled.append(("▁" if begins else "") + text if readable else piece)
    return spelled


def choose_sentence(lines: Sequence[str], subwords: Any, least: int = 5, most: int = 13) -> str | None:
    """The first line with a length that makes a legible picture, or else the shortest."""
    lengths = {line: len(ids) for line, ids in zip(lines, subwords.encode(list(lines)), strict=True) if ids}
    fitting = [line for line in lengths if least <= lengths[line] <= most]
    return fitting[0] if fitting else min(lengths, key=lambda line: lengths[line], default=None)
