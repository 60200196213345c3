"""Training step and decoding of the translator beside its peers: `python -m benchmarks.translation [--json]`.

Each system runs in a process of its own, which keeps memory apart, and the processes take turns on the same batches.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PEERS = ("nn.Transformer", "marian", "x-transformers")
PRECISIONS = ("bf16", "float32")


def worker(system: str, precision: str, size_name: str, count: int) -> None:
    """Builds a system; for each line on standard input runs all batches once and prints seconds per batch."""
    import torch

    from allyouneed.training.memory import keep_freed_memory
    from benchmarks.peers import SIZES, SYSTEMS
    from benchmarks.work import ceiling, flops, multi30k

    if system == "allyouneed":
        keep_freed_memory()
    work = multi30k(count)
    size = SIZES[size_name]
    idle = _peak_memory()
    torch.manual_seed(1)
    model, loss = SYSTEMS[system](size, work.vocab_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step(batch: Any) -> float:
        begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            value = loss(batch)
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - begun

    step(work.batches[0])
    print("ready", flush=True)
    for _ in sys.stdin:
        top = ceiling(torch.bfloat16 if precision == "bf16" else torch.float32)
        seconds = [step(batch) for batch in work.batches]
        work_done = sum(flops(b, size.dim, size.ffn_dim, size.depth, work.vocab_size) for b in work.batches)
        print(json.dumps({
            "tokens_per_second": sum(work.tokens) / sum(seconds), "ceiling_share": work_done / sum(seconds) / top,
            "ceiling_gflops": top / 1e9, "memory_mib": _peak_memory() - idle,
            "parameters": sum(p.numel() for p in model.parameters()),
        }), flush=True)  # fmt: skip


def _peak_memory() -> float:
    """Peak resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def started(systems: list[tuple[str, str]], size: str, count: int) -> Iterator[dict[tuple[str, str], Any]]:
    """One process per (system, precision), built and waiting."""
    processes = {}
    for system, precision in systems:
        command = [sys.executable, "-m", "benchmarks.translation", "--worker", system, precision, size, str(count)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        while (line := process.stdout.readline()) and line.strip() != "ready":  # type: ignore[union-attr]
            pass
        processes[system, precision] = process
    try:
        yield processes
    finally:
        for process in processes.values():
            process.stdin.close()  # type: ignore[union-attr]
            process.wait()


def train_part(size: str, turns: int, count: int, say: Any) -> dict[str, Any]:
    """All systems in turn, `turns` times over the same batches; the best turn of each counts."""
    systems = [(system, precision) for precision in PRECISIONS for system in ("allyouneed", *PEERS)]
    seen: dict[tuple[str, str], list[dict[str, float]]] = {key: [] for key in systems}
    with started(systems, size, count) as processes:
        for turn in range(turns):
            for key, process in processes.items():
                process.stdin.write("go\n")
                process.stdin.flush()
                seen[key].append(json.loads(process.stdout.readline()))
                say(
                    f"{size} turn {turn + 1}/{turns} {key[0]} {key[1]}: {seen[key][-1]['tokens_per_second']:,.0f} tokens/s"
                )
    best = {key: max(rounds, key=lambda r: r["tokens_per_second"]) for key, rounds in seen.items()}
    mean = {key: sum(r["tokens_per_second"] for r in rounds) / turns for key, rounds in seen.items()}
    return summary(best, mean)


def summary(best: dict[tuple[str, str], dict[str, float]], mean: dict[tuple[str, str], float]) -> dict[str, Any]:
    own = best["allyouneed", "bf16"]

    def fastest(precision: str) -> float:
        return max(best[peer, precision]["tokens_per_second"] for peer in PEERS)

    leanest = min(best[peer, "bf16"]["memory_mib"] for peer in PEERS)
    return {
        "ratio_best_peer_bf16": own["tokens_per_second"] / fastest("bf16"),
        "ratio_best_peer_float32": own["tokens_per_second"] / fastest("float32"),
        "ceiling_share": own["ceiling_share"],
        "memory_ratio_leanest_peer": own["memory_mib"] / leanest,
        "raw": {f"{s} {p}": {**figures, "mean_tokens_per_second": mean[s, p]} for (s, p), figures in best.items()},
    }


def show(console: Console, name: str, part: dict[str, Any]) -> None:
    table = Table(
        "system", "tokens/s, best turn", "mean", "share of ceiling", "memory above idle", title=f"training, {name}"
    )
    for system, row in part["raw"].items():
        table.add_row(
            system, f"{row['tokens_per_second']:,.0f}", f"{row['mean_tokens_per_second']:,.0f}",
            f"{row['ceiling_share']:.0%}", f"{row['memory_mib']:,.0f} MiB",
        )  # fmt: skip
    console.print(table)
    ratios = {key: f"{value:.2f}" for key, value in part.items() if key != "raw"}
    console.print(f"allyouneed in bf16: {ratios}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--sizes", nargs="+", default=["small", "paper-base"], choices=["small", "paper-base"])
    parser.add_argument("--parts", nargs="+", default=["train", "decode"], choices=["train", "decode"])
    parser.add_argument("--run", default="runs/multi30k", help="a de-en run for the decoding part")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--batches", type=int, default=12, help="batches a turn (a third of it for paper-base)")
    parser.add_argument("--worker", nargs=4, metavar=("SYSTEM", "PRECISION", "SIZE", "BATCHES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        system, precision, size, count = options.worker
        worker(system, precision, size, int(count))
        return
    console = Console(stderr=True)
    counts = {"small": options.batches, "paper-base": max(options.batches // 3, 1)}
    results: dict[str, Any] = {}
    if "decode" in options.parts:
        results["decode"] = decoding(Path(options.run), options.turns, console)
    if "train" in options.parts:
        results["train"] = {n: train_part(n, options.turns, counts[n], console.print) for n in options.sizes}
        for name, part in results["train"].items():
            show(console, name, part)
    if options.json:
        print(json.dumps(results))


def decoding(run: Path, turns: int, console: Console) -> dict[str, Any]:
    """Part two; it needs a trained run."""
    if not (run / "model.safetensors").exists():
        data = "--data ../shared/data/multi30k --src de --tgt en"
        command = f"allyouneed train translation {data} --max-time 40m --out {run}"
        raise SystemExit(
            f"error: the decoding part needs a trained run at {run}; make it by `{command}`, or give --run"
        )
    from benchmarks.decoding import decode_part

    part = decode_part(run, turns, console.print)
    for name in ("greedy", "beam5"):
        table = Table("system", "sentences/s", "BLEU", title=f"decoding, {name}")
        for system, row in part[name]["raw"].items():
            table.add_row(system, f"{row['sentences_per_second']:,.0f}", f"{row['bleu']:.2f}")
        console.print(table)
    for system, figures in part["latency"].items():
        console.print(f"one sentence alone, {system}: " + ", ".join(f"{k} {v:.1f}" for k, v in figures.items()))
    line = part["by_length"]
    shown = ", ".join(f"{n}: {1000 * s:.0f} ms" for n, s in zip(line["lengths"], line["seconds"], strict=True))
    console.print(
        f"32 outputs of a given length, greedy, float32: {shown}; {line['milliseconds_per_position']:.2f} ms a position, "
        f"R^2 of the straight line {line['r_squared']:.4f}"
    )
    return part


if __name__ == "__main__":
    main()
