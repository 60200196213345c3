"""BERT's kind of checkpoint: its names beside ours, in one list that is read in both directions.

A pair is (their name, our name); ours may end in `[k]`, for q, k and v of others are one `qkv` here. Old files say
`gamma` and `beta` where new ones say `weight` and `bias`, and the prefix of the body may be absent.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from allyouneed.weights.rename import Row

Pair = tuple[str, str]


class Family(NamedTuple):
    """What the loader and the export need to know of BERT or of ALBERT."""

    name: str  # as `model_type` in config.json
    prefix: str  # of the body's names
    architectures: Mapping[str, str]  # class in transformers -> task
    builds: Mapping[str, Callable[[Any], nn.Module]]
    numbers: Callable[[Mapping[str, Any]], dict[str, Any]]  # config.json as our numbers
    config: type
    published: Callable[[Any], dict[str, Any]]  # and back
    body: Callable[[Any], list[Pair]]
    pooler: list[Pair]
    words: list[Pair]  # the masked-word head
    twins: list[Pair]  # names under which old files repeat a tied weight
    pair_head: list[Pair]
    pair: str  # what pre-training asks of two texts there


CLASSIFIER: list[Pair] = [("classifier.weight", "head.linear.weight"), ("classifier.bias", "head.linear.bias")]
SPAN: list[Pair] = [("qa_outputs.weight", "head.linear.weight"), ("qa_outputs.bias", "head.linear.bias")]
IGNORED = r"embeddings\.(position_ids|token_type_ids)"  # counters, which some versions stored


def both(theirs: str, ours: str, part: str = "") -> list[Pair]:
    """Weight and bias of a linear map or a norm."""
    return [(f"{theirs}.{leaf}", f"{ours}.{leaf}{part}") for leaf in ("weight", "bias")]


def attention(theirs: str, ours: str) -> list[Pair]:
    """Their query, key and value, which are one map here."""
    return [
        pair for k, name in enumerate(("query", "key", "value")) for pair in both(f"{theirs}.{name}", ours, f"[{k}]")
    ]


def heads(family: Family, task: str, paired: bool) -> list[Pair]:
    """The names of a task's heads, as an export writes them."""
    if task == "masked-lm":
        return family.words + (family.pair_head if paired else [])
    return SPAN if task == "question-answering" else CLASSIFIER


def rows(pairs: Iterable[Pair], prefix: str = "", ours: str = "") -> list[Row]:
    """Rows that read old and new spellings; `prefix` may stand before each name, `ours` is put before the new one."""
    before = rf"(?:{re.escape(prefix)}\.)?" if prefix else ""
    return [Row(before + _spellings(theirs), (ours + new,)) for theirs, new in pairs]


def _spellings(name: str) -> str:
    name = re.escape(name)
    for new, old in (("weight", "gamma"), ("bias", "beta")):
        name = re.sub(rf"(norm\\\.){new}$", rf"\1(?:{new}|{old})", name, flags=re.IGNORECASE)
    return name


def dropped(pairs: Iterable[Pair], prefix: str = "") -> list[Row]:
    """Rows that know the names and leave their tensors out."""
    return [Row(row.pattern) for row in rows(pairs, prefix)]


def read_off(
    tensors: Mapping[str, Tensor], pairs: Sequence[Pair], prefix: str = "", ours: str = ""
) -> dict[str, Tensor]:
    """Our weights by their names."""
    out = {}
    for theirs, new in pairs:
        whole, part = re.fullmatch(r"(.*?)(?:\[(\d)\])?", ours + new).groups()  # type: ignore[union-attr]
        tensor = tensors[whole]
        tensor = tensor if part is None else tensor.chunk(3)[int(part)]
        out[f"{prefix}.{theirs}" if prefix else theirs] = tensor.detach().float().cpu().clone()
    return out
