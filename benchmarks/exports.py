"""Exported models beside the run they came from: are the translations the same, token for token?

`python -m benchmarks.exports RUN [--json]` exports a de-en run to CTranslate2, ONNX and Hugging Face, translates a file
(by default the 1,000 sentences of test_2016_flickr) with each in float32, greedily and with a beam, and compares the
tokens. Where they differ, both outputs are scored by our model in float64: a gap near zero is a tie that rounding
decides, a gap above zero means that the other search has missed the better output, below zero that ours has.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from allyouneed.data.files import read_lines
from allyouneed.data.parallel import read_split
from allyouneed.data.subwords import EOS
from allyouneed.decoding.limits import EXTRA_LENGTH
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.decoding.translate import Translator
from allyouneed.recipes.export import TARGETS, export_run, load_onnx
from allyouneed.recipes.runs import load
from allyouneed.recipes.translation_run import TranslationRun
from benchmarks.work import DATA

BATCH = 64
TIE = 1e-4  # of a score, which is a mean log-probability of a token: float32 keeps no more than this
Ids = list[list[int]]


def settings_of(beam: int) -> dict[str, Any]:
    """The one length penalty that all of them have: the mean log-probability of a token."""
    return {"beam": beam, "penalty": "average", "length_penalty": 1.0, "max_extra": EXTRA_LENGTH}


def ours(run: TranslationRun) -> Callable[[Sequence[str], int], Ids]:
    return lambda lines, beam: [found[0].ids for found in run.n_best(lines, 1, **settings_of(beam))]


def by_length(rows: Ids, decode: Callable[[Ids, int], Ids]) -> Ids:
    """Decodes sources of equal length together, with our own limit: `EXTRA_LENGTH` pieces more than the source has.

    The others' limits are one number for a call, 256 pieces or 512; a model that falls into a loop runs into them.
    """
    out: Ids = [[] for _ in rows]
    lengths = np.array([len(row) for row in rows])
    for length in np.unique(lengths).tolist():
        places = np.nonzero(lengths == length)[0].tolist()
        found = decode([rows[place] for place in places], length + EXTRA_LENGTH)
        for place, ids in zip(places, found, strict=True):
            out[place] = ids
    return out


def ctranslate2(run: TranslationRun, folder: Path) -> Callable[[Sequence[str], int], Ids]:
    import ctranslate2

    engine = ctranslate2.Translator(str(folder), compute_type="float32", intra_threads=torch.get_num_threads())
    source, target = run.vocabulary

    def decode(lines: Sequence[str], beam: int) -> Ids:
        def together(rows: Ids, limit: int) -> Ids:
            pieces = [source.pieces(ids) for ids in rows]
            results = engine.translate_batch(
                pieces, beam_size=beam, max_batch_size=BATCH, length_penalty=1.0, max_decoding_length=limit
            )
            return [[target.tokenizer.token_to_id(piece) for piece in result.hypotheses[0]] for result in results]

        return by_length(source.encode(lines), together)

    return decode


def onnx(run: TranslationRun, folder: Path) -> Callable[[Sequence[str], int], Ids]:
    translator = load_onnx(folder, threads=torch.get_num_threads()).translator

    def decode(lines: Sequence[str], beam: int) -> Ids:
        return [found[0].ids for found in translator.n_best(lines, DecodingSettings(**settings_of(beam)), 1)]

    return decode


def huggingface(run: TranslationRun, folder: Path) -> Callable[[Sequence[str], int], Ids]:
    from transformers import AutoModelForSeq2SeqLM

    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    model.generation_config.max_length = None

    def decode(lines: Sequence[str], beam: int) -> Ids:
        def together(rows: Ids, limit: int) -> Ids:
            with torch.inference_mode():
                found = model.generate(
                    input_ids=torch.tensor([[*row, EOS] for row in rows]), num_beams=beam, do_sample=False,
                    length_penalty=1.0, max_new_tokens=limit + 1,  # the end is one of them
                )  # fmt: skip
            return [[index for index in ids if index > EOS] for ids in found.tolist()]

        return by_length(run.vocabulary.source.encode(lines), together)

    return decode


OPENED = {"ctranslate2": ctranslate2, "onnx": onnx, "huggingface": huggingface}


class Difference(NamedTuple):
    line: int  # from 1
    gap: float  # our output's score less the other's, both by our model in float64
    ours: str
    theirs: str


def differences(run: TranslationRun, lines: Sequence[str], one: Ids, other: Ids) -> list[Difference]:
    rows = [i for i, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]]
    judge = Translator(deepcopy(run.model).double(), *run.vocabulary)
    target = run.vocabulary.target
    found = []
    for row in rows:
        scores = [mean_log_prob(judge.model, run, lines[row], ids) for ids in (one[row], other[row])]
        found.append(Difference(row + 1, scores[0] - scores[1], *target.decode([one[row], other[row]])))
    return found


@torch.no_grad()
def mean_log_prob(model: Any, run: TranslationRun, line: str, ids: list[int]) -> float:
    """The score of an output: the mean over its tokens and the end."""
    source = torch.tensor([[*run.vocabulary.source.encode([line])[0], EOS]])
    wanted = torch.tensor([*ids, EOS])
    logits = model(source, torch.tensor([[1, *ids]]))[0]  # n v
    logits[:, :2] = float("-inf")  # no search writes a padding or a start
    return float(logits.log_softmax(-1).gather(1, wanted[:, None]).mean())


def compare(run: TranslationRun, folder: Path, lines: Sequence[str], beams: Sequence[int], say: Any) -> dict[str, Any]:
    expected = {beam: ours(run)(lines, beam) for beam in beams}
    found: dict[str, Any] = {}
    for name, opened in OPENED.items():
        place, _ = export_run(run.folder, name, folder / name)
        decode = opened(run, place)
        for beam in beams:
            begun = time.process_time()
            other = differences(run, lines, expected[beam], decode(lines, beam))
            ties = sum(abs(d.gap) < TIE for d in other)
            found[f"{name} beam {beam}"] = {
                "same": len(lines) - len(other), "of": len(lines), "ties": ties,
                "ours_better": sum(d.gap >= TIE for d in other), "theirs_better": sum(d.gap <= -TIE for d in other),
                "cpu_seconds": time.process_time() - begun, "differences": [d._asdict() for d in other],
            }  # fmt: skip
            say(f"{name}, beam {beam}: {len(lines) - len(other)} of {len(lines)} the same")
    return found


def show(console: Console, found: dict[str, Any]) -> None:
    table = Table("export", "same tokens", "ties", "ours better", "theirs better")
    for name, row in found.items():
        cells = (f"{row['same']} of {row['of']}", *(str(row[key]) for key in ("ties", "ours_better", "theirs_better")))
        table.add_row(name, *cells)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exports", description=__doc__)
    parser.add_argument("run", type=Path, help="a run folder of `allyouneed train translation`")
    parser.add_argument("--text", type=Path, help="sentences to translate (default: test_2016_flickr)")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5], help="sizes of the beam (1 5)")
    parser.add_argument("--sentences", type=int, default=1000, help="sentences at most (1000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    options = parser.parse_args()
    console = Console(stderr=True, width=120)
    run = load(options.run, "cpu")
    if options.text is None and not DATA.is_dir():
        raise SystemExit(f"error: test_2016_flickr is read from {DATA}, which is not there; give a file with --text")
    data = run.settings.data
    lines = read_lines(options.text) if options.text else read_split(
        DATA, "test_2016_flickr", data.src or "de", data.tgt or "en").source  # fmt: skip
    assert OPENED.keys() == TARGETS["translation"].keys()
    with tempfile.TemporaryDirectory() as place:
        found = compare(run, Path(place), lines[: options.sentences], options.beams, console.print)
    show(console, found)
    if options.json:
        print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
