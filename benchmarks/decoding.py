"""Part two of `benchmarks.translation`: decoding of test_2016_flickr beside CTranslate2 and Hugging Face `generate`.

The same trained weights everywhere. Ours counts from raw text to raw text; the peers get and give pieces.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from allyouneed.data.parallel import read_split
from allyouneed.data.subwords import EOS
from allyouneed.decoding.greedy import greedy
from allyouneed.decoding.precision import has_bfloat16, prepared
from allyouneed.decoding.translate import Translator
from allyouneed.nn.packed import has_int8
from allyouneed.recipes.runs import load
from allyouneed.recipes.translation_run import TranslationRun
from allyouneed.settings import override
from allyouneed.tasks.metrics import corpus_scores
from allyouneed.weights import export_ctranslate2, export_huggingface
from benchmarks.work import DATA

Decode = Callable[[Sequence[str], int], list[str]]  # lines and beam -> translations
BATCH = 64


PRECISIONS = {"float32": "float32", "bf16": "bfloat16", "int8": "int8"}
LENGTHS = (8, 16, 32, 64, 128)


def ours(run: TranslationRun, precision: str) -> Decode:
    translator = Translator(run.model, *run.vocabulary)

    def decode(lines: Sequence[str], beam: int) -> list[str]:
        return translator.translate(lines, run.decoding(beam=beam, precision=precision))

    return decode


def ctranslate2(run: TranslationRun, folder: Path, compute_type: str) -> Decode:
    import ctranslate2

    if not (folder / "model.bin").exists():
        export_ctranslate2.write(run.model, run.settings.model, *run.vocabulary, folder)
    engine = ctranslate2.Translator(str(folder), compute_type=compute_type, intra_threads=torch.get_num_threads())
    penalty = run.settings.decoding.length_penalty

    def decode(lines: Sequence[str], beam: int) -> list[str]:
        pieces = [run.vocabulary.source.pieces(ids) for ids in run.vocabulary.source.encode(lines)]
        results = engine.translate_batch(pieces, beam_size=beam, max_batch_size=BATCH, length_penalty=penalty)
        target = run.vocabulary.target.tokenizer
        return run.vocabulary.target.decode([[target.token_to_id(p) for p in r.hypotheses[0]] for r in results])

    return decode


def huggingface(run: TranslationRun, folder: Path) -> Decode:
    from transformers import AutoModelForSeq2SeqLM

    export_huggingface.write(run.model, run.settings.model, *run.vocabulary, run.settings.decoding, folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()

    def decode(lines: Sequence[str], beam: int) -> list[str]:
        ids = [[*row, EOS] for row in run.vocabulary.source.encode(lines)]
        order, out = np.argsort([-len(row) for row in ids], kind="stable"), [""] * len(ids)
        for start in range(0, len(ids), BATCH):
            rows = order[start : start + BATCH]
            width = len(ids[rows[0]])
            batch = torch.tensor([ids[row] + [0] * (width - len(ids[row])) for row in rows])
            with torch.inference_mode():
                found = model.generate(
                    input_ids=batch,
                    attention_mask=batch != 0,
                    num_beams=beam,
                    do_sample=False,
                    max_new_tokens=width + 50,
                )
            for row, text in zip(rows, run.vocabulary.target.decode(found.tolist()), strict=True):
                out[row] = text
        return out

    return decode


def decode_part(run_folder: Path, turns: int, say: Any) -> dict[str, Any]:
    """Sentences a second (the best of `turns`, systems in turn) and BLEU of each system, greedy and with beam 5."""
    run = load(run_folder)
    # The one penalty that all of them have: the mean log-probability of a token.
    run.settings = override(run.settings, ["decoding.penalty=average", "decoding.length_penalty=1.0"])
    text = read_split(DATA, "test_2016_flickr", run.settings.data.src or "de", run.settings.data.tgt or "en")
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place, name) for name in ("ctranslate2", "huggingface")]
        for folder in folders:
            folder.mkdir()
        systems: dict[str, Decode] = {
            **{f"allyouneed {name}": ours(run, precision) for name, precision in PRECISIONS.items() if has(precision)},
            "ctranslate2 float32": ctranslate2(run, folders[0], "float32"),
            "ctranslate2 int8": ctranslate2(run, folders[0], "int8"),
            "huggingface": huggingface(run, folders[1]),
        }
        out = {}
        for name, beam in (("greedy", 1), ("beam5", 5)):
            raw = measure(systems, text.source, text.target, beam, turns, say)
            out[name] = {**ratios(raw), "raw": raw}
        out["latency"] = {name: latency(decode, text.source) for name, decode in systems.items() if "int8" in name}
        out["latency"]["allyouneed float32"] = latency(systems["allyouneed float32"], text.source)
        out["by_length"] = by_length(run, text.source)
        return out


def measure(
    systems: dict[str, Decode], lines: Sequence[str], references: Sequence[str], beam: int, turns: int, say: Any
) -> dict[str, dict[str, float]]:
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    bleu = {}
    for decode in systems.values():
        decode(lines[:BATCH], beam)  # nobody pays for a first call
    for turn in range(turns):
        for name, decode in systems.items():
            begun = time.perf_counter()
            translations = decode(lines, beam)
            seconds[name].append(time.perf_counter() - begun)
            bleu[name] = corpus_scores(translations, references)["bleu"]
            say(f"beam {beam} turn {turn + 1}/{turns} {name}: {seconds[name][-1]:.2f} s, BLEU {bleu[name]:.2f}")
    return {n: {"sentences_per_second": len(lines) / min(t), "bleu": bleu[n]} for n, t in seconds.items()}


def ratios(raw: dict[str, dict[str, float]]) -> dict[str, float]:
    """Ours in the precision that is fastest here, whose BLEU stands beside that of float32 in the raw figures."""
    own = max(figures["sentences_per_second"] for name, figures in raw.items() if name.startswith("allyouneed"))
    peers = ("ctranslate2 int8", "ctranslate2 float32", "huggingface")
    return {f"ratio_{peer.replace(' ', '_')}": own / raw[peer]["sentences_per_second"] for peer in peers}


def has(precision: str) -> bool:
    return {"float32": True, "bfloat16": has_bfloat16(), "int8": has_int8()}[precision]


def by_length(run: TranslationRun, lines: Sequence[str], turns: int = 3) -> dict[str, Any]:
    """Seconds for 32 outputs of forced lengths, the best of `turns`, and the straight line through them."""
    rows = [[*ids, EOS] for ids in run.vocabulary.source.encode(lines[:32])]
    source = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    model, seconds = prepared(run.model, "float32"), []
    for length in LENGTHS:
        times = []
        for _ in range(turns):
            begun = time.perf_counter()
            greedy(model, source, min_length=length, max_lengths=length)
            times.append(time.perf_counter() - begun)
        seconds.append(min(times))
    slope, start = np.polyfit(LENGTHS, seconds, 1)
    error = np.square(np.array(seconds) - (start + slope * np.array(LENGTHS))).sum()
    return {
        "lengths": list(LENGTHS), "seconds": seconds, "milliseconds_per_position": 1000 * float(slope),
        "milliseconds_at_the_start": 1000 * float(start), "r_squared": float(1 - error / (len(LENGTHS) * np.var(seconds))),
    }  # fmt: skip


def latency(decode: Decode, lines: Sequence[str]) -> dict[str, float]:
    """Milliseconds for one sentence alone, greedy: median and 95th percentile over 100 sentences."""
    times = []
    for line in lines[:100]:
        begun = time.perf_counter()
        decode([line], 1)
        times.append(1000 * (time.perf_counter() - begun))
    return {"median_ms": float(np.median(times)), "p95_ms": float(np.percentile(times, 95))}
