"""What a claim is in the lab: a sentence, its source, the paper's figures, an experiment, and a rule of judgement."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Figures = Mapping[str, Any]  # what one seed measured: plain numbers, lists and strings, as JSON holds them


class Table(NamedTuple):
    """A header and rows of cells."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Trial(NamedTuple):
    """One run of an experiment."""

    seed: int
    quick: bool  # ends in a share of two minutes; says that the code works, not much more
    tick: Callable[[float], None]  # told the share that is done
    data: Path | None = None  # text of one's own, where the experiment takes some


HOLDS, FAILS, UNCLEAR = "holds", "does not hold", "not separable at this scale"


class Verdict(NamedTuple):
    """What the seeds say, in one of three words, and the figures that decide it in a sentence."""

    word: str
    because: str


class Claim(NamedTuple):
    """A file in `lab/claims`. Nothing in it is chosen after the figures are known."""

    name: str
    says: str  # the sentence claimed
    source: str  # paper and section
    url: str
    paper: Table  # the paper's own figures
    setup: str  # what is run here, and how it is smaller than the paper's
    rule: str  # when it holds, in words
    cost: str  # of a full run on 2 cores
    seeds: int
    measure: Callable[[Trial], Figures]
    judge: Callable[[Sequence[Figures]], Verdict]
    table: Callable[[Sequence[Figures]], Table]  # ours
    picture: Callable[[Sequence[Figures]], str]  # an SVG
