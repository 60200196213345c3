"""Training step and inference of BERT beside its peers: `python -m benchmarks.encoder [--json]`.

Four layers, width 256, on batches of 128 sentences of SST-2, padded as they come and sorted by length. Each system runs
in a process of its own, and the processes take turns on the same batches. Time is the clock's, for whom the machine is
quiet, and the processor's, for whom it is not.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ORDERS = ("as they come", "sorted by length")
SYSTEMS = {"train": ("allyouneed", "transformers"), "infer": ("allyouneed", "transformers", "onnxruntime")}
Key = tuple[str, str]  # order, system


def worker(part: str, order: str, system: str, folder: str, count: int) -> None:
    """Builds a system; for each line on standard input runs all batches once and prints what that took."""
    import torch

    from allyouneed.training.memory import keep_freed_memory
    from benchmarks.encoder_work import RUNNERS, sst2

    if system == "allyouneed":
        keep_freed_memory()
    work = sst2(Path(folder), order == "sorted by length", count)
    torch.manual_seed(1)
    run = RUNNERS[part][system](work, Path(folder))
    run(work.batches[0])
    print("ready", flush=True)
    for _ in sys.stdin:
        clock, processor = time.perf_counter(), time.process_time()
        for batch in work.batches:
            run(batch)
        spent = {"seconds": time.perf_counter() - clock, "cpu_seconds": time.process_time() - processor}
        print(json.dumps({**spent, "sentences": work.sentences, "padding": work.padding}), flush=True)


@contextmanager
def started(part: str, folder: str, count: int) -> Iterator[dict[Key, Any]]:
    """One process per (order, system), built and waiting."""
    processes = {}
    for order in ORDERS:
        for system in SYSTEMS[part]:
            command = [sys.executable, "-m", "benchmarks.encoder", "--worker", part, order, system, folder, str(count)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            while (line := process.stdout.readline()) and line.strip() != "ready":  # type: ignore[union-attr]
                pass
            processes[order, system] = process
    try:
        yield processes
    finally:
        for process in processes.values():
            process.stdin.close()  # type: ignore[union-attr]
            process.wait()


def measured(part: str, folder: str, turns: int, count: int, say: Callable[[str], None]) -> dict[str, Any]:
    """All systems in turn, `turns` times over the same batches; the best turn of each counts."""
    seen: dict[Key, list[dict[str, float]]] = {}
    with started(part, folder, count) as processes:
        for turn in range(turns):
            for key, process in processes.items():
                process.stdin.write("go\n")
                process.stdin.flush()
                seen.setdefault(key, []).append(json.loads(process.stdout.readline()))
                say(
                    f"{part} turn {turn + 1}/{turns} {', '.join(key)}: {seen[key][-1]['cpu_seconds']:.2f} s of processor"
                )
    return {order: summary({system: seen[order, system] for system in SYSTEMS[part]}) for order in ORDERS}


def summary(seen: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Sentences per second of each system, by both clocks, and how many times as fast ours is."""
    raw: dict[str, dict[str, float]] = {}
    for system, turns in seen.items():
        raw[system] = {
            "sentences_per_second": max(turn["sentences"] / turn["seconds"] for turn in turns),
            "sentences_per_cpu_second": max(turn["sentences"] / turn["cpu_seconds"] for turn in turns),
        }
    own = raw["allyouneed"]
    ratios = {
        f"ratio_{system}{suffix}": own[rate] / row[rate]
        for system, row in raw.items()
        if system != "allyouneed"
        for suffix, rate in (("", "sentences_per_second"), ("_cpu", "sentences_per_cpu_second"))
    }
    return {**ratios, "padding": next(iter(seen.values()))[0]["padding"], "raw": raw}


def show(console: Console, part: str, results: dict[str, Any]) -> None:
    for order, result in results.items():
        table = Table("system", "sentences/s, best turn", "per second of processor",
                      title=f"{part}, {order} ({result['padding']:.0%} padding)")  # fmt: skip
        for system, row in result["raw"].items():
            table.add_row(system, f"{row['sentences_per_second']:,.0f}", f"{row['sentences_per_cpu_second']:,.0f}")
        console.print(table)
        console.print({key: f"{value:.2f}" for key, value in result.items() if key.startswith("ratio")})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--parts", nargs="+", default=["train", "infer"], choices=["train", "infer"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--batches", type=int, default=12, help="batches a turn")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        *what, count = options.worker
        worker(*what, int(count))
        return
    from benchmarks.encoder_work import prepare

    console, results = Console(stderr=True), {}
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        for part in options.parts:
            results[part] = measured(part, folder, options.turns, options.batches, console.print)
            show(console, part, results[part])
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
