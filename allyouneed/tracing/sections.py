"""The sections of a translator's report, each a function from plain values to markup."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from allyouneed.settings import describe
from allyouneed.tracing import figures
from allyouneed.tracing.maps import MASKED, attention_map, map_width, masked_pattern
from allyouneed.tracing.page import captioned, section, table, tabs
from allyouneed.tracing.svg import CIVIDIS, SIGNED, element, escape, scale_bar
from allyouneed.tracing.trace import Trace
from allyouneed.tracing.words import differing

FIRST = 10
"""Examples shown at once; the others unfold."""

MOST_CELLS = 40_000
"""Cells of attention maps on a page, so that it opens at once; of deeper models some layers are left out."""

MOST = 24
"""Pieces of a side that are drawn; of a longer side the beginning."""


class Example(NamedTuple):
    """A held-out sentence and what became of it."""

    source: str
    reference: str
    translation: str


# ---- scores ----------------------------------------------------------------------------------------------------------


def scores_section(scores: Mapping[str, Any]) -> str:
    """BLEU with its interval, what else was measured, and the signatures that make the figures comparable."""
    if "bleu" not in scores:
        return ""
    big = element("b", f"{scores['bleu']:.1f}")
    says = "BLEU"
    if "bleu_low" in scores and "bleu_high" in scores:
        says += f", 95 % interval {scores['bleu_low']:.1f} to {scores['bleu_high']:.1f}"
    if "sentences" in scores:
        says += f", on {scores['sentences']:,} held-out sentences"
    rows = [[escape(name), written, element("span", escape(what))] for name, written, what in _score_rows(scores)]
    signed = "".join(
        element("p", f"{name} ", element("code", escape(scores[key])), class_="note")
        for name, key in (("BLEU", "signature"), ("chrF", "chrf_signature"))
        if scores.get(key)
    )
    caption = (
        "The interval comes from drawing the test sentences anew, many times: two systems whose intervals overlap much "
        "may be equally good. Compare figures only where the signatures agree."
    )
    measured = table(["score", "value", "what it says"], rows) if rows else ""
    return section(
        "scores", "How good it is", element("p", big, element("span", escape(says)), class_="score"), measured,
        element("p", escape(caption), class_="note"), signed,
    )  # fmt: skip


def _score_rows(scores: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    known = [
        ("bleu_lc", "BLEU, lower-cased", "{:.1f}", "the same with capitals ignored"),
        ("chrf", "chrF", "{:.1f}", "letters in common instead of words; kinder to endings and compounds"),
        ("exact_match", "equal to the reference", "{:.1%}", "a good translation may well be worded otherwise"),
    ]
    return [(name, form.format(scores[key]), says) for key, name, form, says in known if key in scores]


# ---- learning --------------------------------------------------------------------------------------------------------

LEARNING = {
    "loss": "Cross-entropy of the training text and of the dev set; the right scale says the same as perplexity, e to the "
    "loss. While both fall, it still learns; when the dev curve turns up, it begins to learn by heart.",
    "bleu": "Scored on the dev set in the course of training; the weights with the best score are those in use.",
    "learning_rate": "The size of the steps: up in the warm-up, while Adam's statistics are poor, and then down.",
    "speed": "Source and target tokens in a second; a dip means that the machine was busy with something else.",
}


def learning_section(metrics: Sequence[Mapping[str, Any]]) -> str:
    charts = figures.learning_curves(metrics)
    drawn = [captioned(svg, LEARNING[name]) for name, svg in charts.items()]
    body = element("div", *drawn, class_="charts") if drawn else element("p", "This run has recorded no figures yet.")
    return section("learning", "How it learned", body)


# ---- examples --------------------------------------------------------------------------------------------------------


def examples_section(examples: Sequence[Example], languages: Mapping[str, str]) -> str:
    if not examples:
        return ""
    shown = [_example(example, languages) for example in examples]
    rest = ""
    if len(shown) > FIRST:
        rest = element("details", element("summary", f"{len(shown) - FIRST} more"), *shown[FIRST:])
    intro = element(
        "p",
        "Sentences that were not in the training text. ",
        element("mark", "Marked"),
        " words are those in which translation and reference differ; a difference need not be an error.",
    )
    return section("examples", "What it writes", intro, *shown[:FIRST], rest)


def _example(example: Example, languages: Mapping[str, str]) -> str:
    translation, reference = differing(example.translation, example.reference)
    same = element("span", " ✓ as the reference", class_="same") if example.translation == example.reference else ""
    rows = [
        ("source", escape(example.source), languages.get("source")),
        ("translation", (translation or element("i", "(nothing)")) + same, languages.get("target")),
        ("reference", reference, languages.get("target")),
    ]
    return element(
        "dl",
        *(
            element("dt", name) + element("dd", content or "&nbsp;", dir="auto", lang=lang)
            for name, content, lang in rows
        ),
        class_="example",
    )


# ---- attention -------------------------------------------------------------------------------------------------------

KINDS = {
    "encoder": "Encoder self-attention",
    "decoder": "Decoder self-attention, masked",
    "cross": "Cross-attention",
}
SEEING = {
    "encoder": "Every piece of the source looks at every other. Look for diagonals beside the middle (a head that looks "
    "at the neighbour), columns (a piece that all look at, often the end) and word groups that look at each other.",
    "decoder": "Each piece that has been read looks back at itself and those before it. Hatched cells are masked: the "
    "future may not be seen, which is why training can treat all positions at once.",
    "cross": "Rows are the pieces as they are written, columns the source. A bright path is an alignment: it "
    "bends where the languages order their words differently.",
}
LOOKS = {"encoder": "looks", "decoder": "looks", "cross": "writes"}


class Map(NamedTuple):
    """The heads of one layer."""

    kind: str  # encoder, decoder, cross
    layer: int  # counted from 1 among its kind
    weights: Tensor  # h n m
    visible: Tensor  # h n m, False where masked
    queries: list[str]
    keys: list[str]


def maps_of(trace: Trace) -> list[Map]:
    """The attention of a translator's trace, no more of it than is drawn."""
    maps = []
    for kind in KINDS:
        relation = trace.manifest.relations.get(kind)
        for number, layer in enumerate(relation.layers if relation else [], 1):
            assert relation is not None
            sides = (trace.manifest.spaces[name].items[:MOST] for name in (relation.queries, relation.keys))
            weights = torch.from_numpy(trace.weights(kind, number - 1)[:, :MOST, :MOST].copy())
            visible = torch.from_numpy(trace.visible(layer)[:, :MOST, :MOST].copy())
            maps.append(Map(kind, number, weights, visible.expand_as(weights), *sides))
    return maps


def attention_section(trace: Trace, links: str = "") -> str:
    """Heat maps of one sentence: encoder, masked decoder and cross, a tab for each layer, a map for each head.

    `links`: markup that leads to more of it.
    """
    maps, left_out = _affordable(maps_of(trace))
    bar = scale_bar(CIVIDIS, "0", "1", (MASKED, "masked"))
    line, text = trace.manifest.input, trace.manifest.output
    wrote = f"“{text}”" if text else "nothing at all"
    note = (
        f"The model translated “{line}” as {wrote} and then read both once more; these are the weights of that reading. "
        "Rows are those that look, and each row sums to one; ▁ begins a word, </s> is the end. Point at a cell for its "
        "value."
    )
    if max((space.size for space in trace.manifest.spaces.values()), default=0) > MOST:
        note += " Only the beginning of the sentence is drawn."
    if left_out:
        note += " Some layers of this deep model are left out."
    careful = (
        "A weight says where a head looked, not why the model wrote a word: what was seen there may hardly count, and "
        "the same answer can come by other weights."
    )
    holder = element("svg", masked_pattern(), width=0, height=0, aria_hidden="true")
    parts = [_kind(kind, [m for m in maps if m.kind == kind]) for kind in KINDS]
    return section(
        "attention", "Where it looks", holder, element("p", escape(note)), links, bar, *parts,
        element("p", escape(careful), class_="note"),
    )  # fmt: skip


def _affordable(maps: Sequence[Map]) -> tuple[list[Map], bool]:
    """All maps, or every second layer, every third ... until the page stays light; the last layer always stays."""
    last = {m.kind: m.layer for m in maps}
    for every in range(1, max(last.values(), default=1) + 1):
        kept = [m for m in maps if (last[m.kind] - m.layer) % every == 0]
        if sum(m.weights.numel() for m in kept) <= MOST_CELLS:
            break
    return kept if maps else [], bool(maps) and len(kept) < len(maps)


def _kind(kind: str, maps: Sequence[Map]) -> str:
    if not maps:
        return ""
    least = max(230.0, 0.87 * map_width(maps[0].queries, maps[0].keys))
    style = f"--least:{least:.0f}px"  # below this the labels would no longer be legible
    panels = [(f"Layer {m.layer}", element("div", *_heads(m), class_="maps", style=style)) for m in maps]
    heading, says = element("h3", escape(KINDS[kind])), element("p", escape(SEEING[kind]))
    return heading + says + tabs(kind, panels, chosen=len(panels) - 1)


def _heads(m: Map) -> list[str]:
    several = m.weights.shape[0] > 1
    return [
        attention_map(
            m.weights[h],
            m.queries,
            m.keys,
            f"Head {h + 1}" if several else "The only head",
            m.visible[h],
            LOOKS[m.kind],
        )
        for h in range(m.weights.shape[0])
    ]


# ---- positions -------------------------------------------------------------------------------------------------------


def positions_section(codes: Any) -> str:
    """The table of codes and their dot products; `codes` is n d."""
    size = float(codes.abs().max())
    bar = scale_bar(SIGNED, f"{-size:.2g}", f"{size:.2g}")
    if figures.depends_on_distance(codes):
        see = (
            "Each row is what is added to the token at that position: sines and cosines, from fast waves, which tell "
            "neighbours apart, to slow ones, which tell the beginning from the end."
        )
        like = "The curves lie on one another: how alike two codes are depends on their distance alone, wherever they stand."
    else:
        see = "Each row is what is added to the token at that position; these codes are learned."
        like = "Likeness of learned codes depends on the places themselves, not on their distance alone."
    drawn = [
        element("figure", figures.position_table(codes), bar, element("figcaption", escape(see))),
        captioned(figures.position_products(codes), like),
    ]
    why = "Attention by itself does not know the order of words; the order enters with these codes."
    return section("positions", "How it knows order", element("p", why), element("div", *drawn, class_="charts"))


# ---- settings and what next ------------------------------------------------------------------------------------------


def settings_section(settings: Any) -> str:
    """Every setting with its explanation, group by group."""
    groups: dict[str, list[list[str]]] = {}
    for row in describe(settings):
        group, _, name = row.key.rpartition(".")
        value = "none" if row.default is None else str(row.default)
        cells = [element("code", escape(name)), escape(value), escape(row.explanation)]
        groups.setdefault(group or "run", []).append(cells)
    drawn = [
        element("details", element("summary", escape(group)), table(["setting", "value", "what it does"], rows))
        for group, rows in groups.items()
    ]
    says = "All that made this run; the same settings, data and seed make it again. config.yaml beside this page holds them."
    return section("settings", "Settings", element("p", says), *drawn)


def next_section(folder: str, sentence: str) -> str:
    place = shlex.quote(folder)
    shell = (
        f"echo {shlex.quote(sentence)} | allyouneed translate {place}\n"
        f"allyouneed evaluate {place}\n"
        f"allyouneed explore {place}\n"
        f"allyouneed train translation --out {place} --resume\n"
        "allyouneed train translation --data DIR --src de --tgt en --out runs/mine"
    )
    python = f"import allyouneed as ayn\n\nt = ayn.load({folder!r})\nt.translate([{sentence!r}])"
    says = "Translate, score on held-out text, watch it work, train on (to a higher limit), or begin with text of your own:"
    return section(
        "next", "How to go on",
        element("p", says), element("pre", element("code", escape(shell))),
        element("p", "The same from Python:"), element("pre", element("code", escape(python))),
    )  # fmt: skip
