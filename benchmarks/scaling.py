"""Training from a corpus larger than memory: time, disk and peak memory by the number of pairs.

`python -m benchmarks.scaling --pairs 1000000 10000000 [--json]` writes sentence pairs of the embedded grammar (they
repeat themselves: it is their number that counts here), tokenises them into a store on disk and trains some steps, each
size in a process of its own; then everything is deleted. `--memory` does the same with the pairs in memory.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.memory import forget_peak, peak, resident

VAL = 100
SETTINGS = [
    "model.dim=128", "model.ffn_dim=512", "model.depth=2", "data.vocab_size=4000", "data.src=de", "data.tgt=en",
    "data.bpe_dropout=0", "training.threads=1", "training.validate_every=1000000", "decoding.max_extra=5",
    "decoding.fit_length_penalty=false", "decoding.beam=1",
]  # fmt: skip


def write_pairs(folder: Path, pairs: int) -> None:
    """`train.de`, `train.en` and a small `val`, a block at a time."""
    from allyouneed.data.grammar import PATTERNS
    from allyouneed.data.grammar.corpus import stream

    folder.mkdir(parents=True)
    for name, count, seed in (("val", VAL, 2), ("train", pairs, 1)):
        sentences = islice(stream(PATTERNS["de"], seed), count)
        with open(folder / f"{name}.de", "w") as german, open(folder / f"{name}.en", "w") as english:
            for pair in sentences:
                german.write(pair.foreign + "\n")
                english.write(pair.english + "\n")


def worker(data: Path, out: Path, steps: int, store: str) -> None:
    """One run; prints its figures as JSON."""
    from allyouneed.recipes.train import train
    from allyouneed.training.progress import Silent

    idle, marks = resident(), {}

    class Listener(Silent):
        """The first thing said is a note on the data: from there on it is training."""

        def say(self, line: str) -> None:
            print(line, file=sys.stderr)
            if "prepare" not in marks:
                marks["prepare"] = {"peak_mib": peak(), "cpu_seconds": time.process_time(), "clock": time.monotonic()}
                forget_peak()

    words = [*SETTINGS, f"data.path={data}", f"data.store={store}", f"training.max_steps={steps}",
             f"training.save_every={steps}"]  # fmt: skip
    train("translation", out, assignments=words, reporter=Listener())
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    training = [line for line in lines if line["kind"] == "train"]
    print(json.dumps({
        "idle_mib": idle, "prepare_peak_mib": marks["prepare"]["peak_mib"], "train_peak_mib": peak(),
        "prepare_cpu_seconds": marks["prepare"]["cpu_seconds"], "train_cpu_seconds": time.process_time()
        - marks["prepare"]["cpu_seconds"], "first_loss": training[0]["loss"], "last_loss": training[-1]["loss"],
        "steps": training[-1]["step"],
    }))  # fmt: skip


def measure(pairs: int, steps: int, store: str, folder: Path, say: Any) -> dict[str, Any]:
    """The figures of one size; the folder is emptied afterwards."""
    place = folder / f"{store}-{pairs}"
    shutil.rmtree(place, ignore_errors=True)
    try:
        begun = time.process_time()
        write_pairs(place / "text", pairs)
        say(f"{pairs:,} pairs written")
        seconds = time.process_time() - begun
        text = sum(path.stat().st_size for path in (place / "text").glob("train.*"))
        command = [sys.executable, "-m", "benchmarks.scaling", "--worker", str(place / "text"), str(place / "run"),
                   str(steps), store]  # fmt: skip
        begun = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"error: the run on {pairs:,} pairs ended with status {done.returncode}")
        stored = sum(path.stat().st_size for path in (place / "run").glob("tokens/**/*") if path.is_file())
        return {
            "pairs": pairs, "store": store, "write_cpu_seconds": seconds, "text_mb": text / 1e6, "tokens_mb": stored / 1e6,
            "wall_seconds": time.monotonic() - begun, **json.loads(done.stdout.splitlines()[-1]),
        }  # fmt: skip
    finally:
        shutil.rmtree(place, ignore_errors=True)


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    header = ("pairs", "store", "text MB", "tokens MB", "prepare CPU s", "idle MiB", "prepare peak", "training peak",
              "loss")  # fmt: skip
    table = Table(*header, title="training by the number of pairs", title_justify="left")
    for row in rows:
        table.add_row(
            f"{row['pairs']:,}", row["store"], f"{row['text_mb']:,.0f}", f"{row['tokens_mb']:,.0f}",
            f"{row['prepare_cpu_seconds']:,.0f}", f"{row['idle_mib']:,.0f}", f"{row['prepare_peak_mib']:,.0f}",
            f"{row['train_peak_mib']:,.0f}", f"{row['first_loss']:.2f} to {row['last_loss']:.2f} in {row['steps']} steps",
        )  # fmt: skip
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[100_000, 1_000_000], help="sizes to compare")
    parser.add_argument("--steps", type=int, default=200, help="steps of training (200)")
    parser.add_argument("--memory", action="store_true", help="keep the pairs in memory, to compare")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/allyouneed-scaling"), help="where text and runs lie")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        data, out, steps, store = options.worker
        worker(Path(data), Path(out), int(steps), store)
        return
    console = Console(stderr=True, width=140)
    store = "memory" if options.memory else "disk"
    rows = [measure(pairs, options.steps, store, options.folder, console.print) for pairs in options.pairs]
    with_contents = options.folder.exists() and any(options.folder.iterdir())
    if options.folder.exists() and not with_contents:
        os.rmdir(options.folder)
    show(console, rows)
    if options.json:
        print(json.dumps({"runs": rows}))


if __name__ == "__main__":
    main()
