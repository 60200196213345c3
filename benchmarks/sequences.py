"""Long texts: time and memory of a layer by the text's length, and of reversible layers by their number.

`python -m benchmarks.sequences [--json]` runs forward and backward passes of windowed, hashed, shuffle-exchange and full
attention layers and of the packages that do the same. Each layer and length has processes of its own: one for memory, in
which the C library gives back at once what is freed, so that the peak is what the layer needs and not what the library
keeps; and one for time, in which it does as it likes. Those of one length take turns. Seconds are those of the processor
that the process used, so that neighbours on a busy machine count for little. An exponent is the slope of a line through
the logarithms: 1 is linear, 2 quadratic.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

LENGTHS = [512, 1024, 2048, 4096, 8192, 16384]
DEPTHS = [1, 2, 4, 8, 16, 24]
PEERS = {"windowed": ["local-attention"], "lsh": ["reformer-pytorch", "hugging-face-reformer"]}
DEPTH_LENGTH = 8192
LEAST = 0.2  # seconds that a turn measures at least


def worker(kind: str, number: int, precision: str) -> None:
    """Builds one layer; says how much memory its first step took, then for each line of input how long a step is."""
    import torch

    from benchmarks.memory import forget_peak, peak, resident
    from benchmarks.sequence_layers import DIM, LAYERS, reversible

    torch.manual_seed(1)
    deep = kind in ("reversible", "plain")
    module = reversible(number, kind == "plain") if deep else LAYERS[kind](number)
    x = torch.randn(1, DEPTH_LENGTH if deep else number, 64 if deep else DIM, requires_grad=True)

    def step() -> float:
        begun = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            out = module(x)
        out.float().square().mean().backward()
        return time.process_time() - begun

    x.new_ones(64, 64) @ x.new_ones(64, 64)  # the library of products takes its memory before we count
    before = resident()
    forget_peak()
    step()
    print(json.dumps(peak() - before), flush=True)
    for _ in sys.stdin:
        begun, seen = time.process_time(), [step()]
        while time.process_time() - begun < LEAST:
            seen.append(step())
        print(json.dumps(min(seen)), flush=True)


class Process:
    """One layer at one length, waiting for its turn."""

    def __init__(self, kind: str, number: int, precision: str, **environment: str):
        command = [sys.executable, "-m", "benchmarks.sequences", "--worker", kind, str(number), precision]
        pipe, environment = subprocess.PIPE, {**os.environ, **environment}
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.memory = self.read()

    def read(self) -> float:
        while line := self.process.stdout.readline():  # type: ignore[union-attr]
            if line[0].isdigit():  # some packages talk while they load
                return float(line)
        raise SystemExit(f"error: {' '.join(map(str, self.process.args))} ended before it was done")  # type: ignore[arg-type]

    def turn(self) -> float:
        self.process.stdin.write("go\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]
        return self.read()

    def end(self) -> None:
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()


def needed(kind: str, number: int, precision: str) -> float:
    """MiB above what was held before, at the peak of a forward and backward pass."""
    process = Process(kind, number, precision, MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="65536")
    process.end()
    return process.memory


def exponent(values: Mapping[int, float]) -> float:
    """The slope of the least-squares line through (log n, log value)."""
    points = [(math.log(n), math.log(max(value, 1e-9))) for n, value in values.items()]
    x, y = (sum(column) / len(points) for column in zip(*points, strict=True))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def by_length(kinds: list[str], lengths: list[int], turns: int, precision: str, say: Any) -> dict[str, Any]:
    """Each layer's best turn and its memory at each length, the exponents, and the ratios to the packages."""
    seconds: dict[str, dict[int, float]] = {kind: {} for kind in kinds}
    memory: dict[str, dict[int, float]] = {kind: {} for kind in kinds}
    for n in lengths:
        for kind in kinds:
            memory[kind][n] = needed(kind, n, precision)
        processes = {kind: Process(kind, n, precision) for kind in kinds}
        rounds = [{kind: process.turn() for kind, process in processes.items()} for _ in range(turns)]
        for kind, process in processes.items():
            process.end()
            seconds[kind][n] = min(turn[kind] for turn in rounds)
            say(f"n = {n:6,} {kind:22} {1000 * seconds[kind][n]:10,.1f} ms {memory[kind][n]:9,.1f} MiB")
    layers = {
        kind: {
            "seconds": seconds[kind], "memory_mib": memory[kind],
            "time_exponent": exponent(seconds[kind]), "memory_exponent": exponent(memory[kind]),
        }
        for kind in kinds
    }  # fmt: skip
    ratios = {
        f"{peer} / {kind}": {n: seconds[peer][n] / seconds[kind][n] for n in lengths}
        for kind, peers in PEERS.items()
        for peer in peers
        if kind in kinds and peer in kinds
    }
    return {"layers": layers, "times_as_fast": ratios}


def by_depth(depths: list[int], precision: str, say: Any) -> dict[str, Any]:
    """Peak memory of reversible layers and of the same layers under ordinary autograd, and MiB that a pair costs."""
    found: dict[str, Any] = {}
    for kind in ("reversible", "plain"):
        memory = {}
        for depth in depths:
            memory[depth] = needed(kind, depth, precision)
            say(f"{depth:3} pairs {kind:12} {memory[depth]:9,.1f} MiB")
        x, y = (sum(column) / len(memory) for column in (memory, memory.values()))
        slope = sum((d - x) * (m - y) for d, m in memory.items()) / sum((d - x) ** 2 for d in memory)
        found[kind] = {"memory_mib": memory, "mib_per_pair": slope, "exponent": exponent(memory)}
    return found


def show(console: Console, results: dict[str, Any]) -> None:
    layers = results.get("layers", {})
    table = Table("layer", "time ~ n^", "memory ~ n^", "ms at the longest", "MiB", title="forward and backward")
    for kind, row in layers.items():
        last = max(row["seconds"])
        table.add_row(
            kind, f"{row['time_exponent']:.2f}", f"{row['memory_exponent']:.2f}", f"{1000 * row['seconds'][last]:,.0f}",
            f"{row['memory_mib'][last]:,.0f}",
        )  # fmt: skip
    if layers:
        console.print(table)
    for pair, ratios in results.get("times_as_fast", {}).items():
        console.print(f"{pair}: " + ", ".join(f"{ratio:.2f}" for ratio in ratios.values()))
    for kind, row in results.get("depth", {}).items():
        console.print(
            f"{kind}: {row['mib_per_pair']:.2f} MiB for each pair of layers, memory ~ depth^{row['exponent']:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--parts", nargs="+", default=["length", "depth"], choices=["length", "depth"])
    parser.add_argument("--layers", nargs="+", help="some of the layers")
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS)
    parser.add_argument("--depths", nargs="+", type=int, default=DEPTHS)
    parser.add_argument("--precision", default="float32", choices=["float32", "bf16"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--worker", nargs=3, metavar=("LAYER", "NUMBER", "PRECISION"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        kind, number, precision = options.worker
        worker(kind, int(number), precision)
        return
    from benchmarks.sequence_layers import LAYERS

    console, results = Console(stderr=True), {}
    if "length" in options.parts:
        kinds = options.layers or list(LAYERS)
        results |= by_length(kinds, options.lengths, options.turns, options.precision, console.print)
    if "depth" in options.parts:
        results["depth"] = by_depth(options.depths, options.precision, console.print)
    show(console, results)
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
