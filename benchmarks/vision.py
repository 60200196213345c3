"""Training step and forward pass of image models beside their peers: `python -m benchmarks.vision [--json]`.

Each system runs in a process of its own, which keeps memory apart, and the processes take turns on the same images.
Seconds are those of the processor that the process used, so that neighbours on a busy machine count for little.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table


class Work(NamedTuple):
    """One comparison: what is built, and on what."""

    title: str
    peer: str
    kind: str  # of the two below
    numbers: dict[str, int]
    batch: int
    input: tuple[int, int, int]  # channels, rows, columns


WORKS = {
    "vit-small": Work(
        "ViT, 32 x 32, patch 4, dim 192, 6 layers", "transformers", "vit",
        dict(image_size=32, patch=4, dim=192, heads=3, ffn_dim=768, depth=6, classes=10), 128, (3, 32, 32),
    ),
    "vit-s16": Work(
        "ViT-S/16, 224 x 224", "transformers", "vit",
        dict(image_size=224, patch=16, dim=384, heads=6, ffn_dim=1536, depth=12, classes=1000), 16, (3, 224, 224),
    ),
    "lambda-global": Work(
        "lambda layer, 14 x 14, dim 256, all places", "lambda-networks", "lambda",
        dict(dim=256, heads=4, key_dim=16, side=14, scope=0), 32, (256, 14, 14),
    ),
    "lambda-local": Work(
        "lambda layer, 14 x 14, dim 256, scope 7", "lambda-networks", "lambda",
        dict(dim=256, heads=4, key_dim=16, side=14, scope=7), 32, (256, 14, 14),
    ),
    "lambda-scope23": Work(
        "lambda layer, 14 x 14, dim 256, scope 23 (the paper's)", "lambda-networks", "lambda",
        dict(dim=256, heads=4, key_dim=16, side=14, scope=23), 32, (256, 14, 14),
    ),
}  # fmt: skip
OURS = "allyouneed"


def build(system: str, work: Work) -> Any:
    """The model: a module from images to logits, or from a map to a map."""
    builders: dict[tuple[str, str], Callable[[dict[str, int]], Any]] = {
        ("vit", OURS): our_vit,
        ("vit", "transformers"): their_vit,
        ("lambda", OURS): our_lambda,
        ("lambda", "lambda-networks"): their_lambda,
    }
    return builders[work.kind, system](work.numbers)


def our_vit(n: dict[str, int]) -> Any:
    from allyouneed.models.vit import VitConfig, vit

    return vit(VitConfig(**n, channels=3, pool="token", dropout=0.0))


def their_vit(n: dict[str, int]) -> Any:
    import torch
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=n["dim"], num_hidden_layers=n["depth"], num_attention_heads=n["heads"],
        intermediate_size=n["ffn_dim"], image_size=n["image_size"], patch_size=n["patch"], num_channels=3,
        num_labels=n["classes"], layer_norm_eps=1e-6,
    )  # fmt: skip

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = ViTForImageClassification(config)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.model(images).logits

    return Logits()


def our_lambda(n: dict[str, int]) -> Any:
    from allyouneed.nn.grid import whole
    from allyouneed.nn.lambda_layer import LambdaLayer

    scope = (n["scope"], n["scope"]) if n["scope"] else whole((n["side"], n["side"]))
    return LambdaLayer(n["dim"], n["heads"], n["key_dim"], scope=scope)


def their_lambda(n: dict[str, int]) -> Any:
    from lambda_networks import LambdaLayer

    context = {"r": n["scope"]} if n["scope"] else {"n": n["side"]}
    return LambdaLayer(n["dim"], dim_k=n["key_dim"], heads=n["heads"], **context)


def worker(system: str, name: str, steps: int) -> None:
    """Builds a system; for each line on standard input makes all steps and prints the images per second."""
    import torch
    import torch.nn.functional as F

    from allyouneed.training.memory import keep_freed_memory

    work = WORKS[name]
    if system == OURS:
        keep_freed_memory()  # as training does
    torch.manual_seed(1)
    images = torch.randn(work.batch, *work.input)
    if work.kind == "lambda" and system == OURS:
        images = images.contiguous(memory_format=torch.channels_last)  # as it is in our trunks
    model = build(system, work).train()
    idle = _peak_memory()
    labels = torch.randint(work.numbers.get("classes", 1), (work.batch,))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    images.requires_grad_(work.kind == "lambda")  # a layer in the middle passes the gradient on

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            out = model(images)
            loss = F.cross_entropy(out.float(), labels) if work.kind == "vit" else out.float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def forward() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            model(images)

    step()
    memory = _peak_memory() - idle
    print("ready", flush=True)
    for _ in sys.stdin:
        model.train()
        train = [_seconds(step) for _ in range(steps)]
        model.eval()
        alone = [_seconds(forward) for _ in range(steps)]
        print(json.dumps({
            "train_images_per_second": work.batch / min(train), "forward_images_per_second": work.batch / min(alone),
            "memory_mib": memory, "parameters": sum(p.numel() for p in model.parameters()),
        }), flush=True)  # fmt: skip


def _seconds(call: Callable[[], None]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def _peak_memory() -> float:
    """Peak resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def started(systems: list[str], name: str, steps: int) -> Iterator[dict[str, Any]]:
    """One process per system, built and waiting."""
    processes = {}
    for system in systems:
        command = [sys.executable, "-m", "benchmarks.vision", "--worker", system, name, str(steps)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        while (line := process.stdout.readline()) and line.strip() != "ready":  # type: ignore[union-attr]
            pass
        processes[system] = process
    try:
        yield processes
    finally:
        for process in processes.values():
            process.stdin.close()  # type: ignore[union-attr]
            process.wait()


def part(name: str, turns: int, steps: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Both systems in turn, `turns` times; the best turn of each counts."""
    systems = [OURS, WORKS[name].peer]
    seen: dict[str, list[dict[str, float]]] = {system: [] for system in systems}
    with started(systems, name, steps) as processes:
        for turn in range(turns):
            for system, process in processes.items():
                process.stdin.write("go\n")
                process.stdin.flush()
                seen[system].append(json.loads(process.stdout.readline()))
                speed = seen[system][-1]["train_images_per_second"]
                say(f"{name} turn {turn + 1}/{turns} {system}: {speed:,.0f} images/s in training")
    best = {
        system: {key: max(row[key] for row in rows) for key in rows[0]} for system, rows in seen.items()
    }  # the fastest step and the fastest forward pass
    own, peer = best[OURS], best[WORKS[name].peer]
    return {
        "ratio_train": own["train_images_per_second"] / peer["train_images_per_second"],
        "ratio_forward": own["forward_images_per_second"] / peer["forward_images_per_second"],
        "memory_ratio": own["memory_mib"] / peer["memory_mib"],
        "raw": best,
    }


def show(console: Console, name: str, found: dict[str, Any]) -> None:
    table = Table("system", "training, images/s", "forward, images/s", "memory above idle", title=WORKS[name].title)
    for system, row in found["raw"].items():
        table.add_row(
            system, f"{row['train_images_per_second']:,.0f}", f"{row['forward_images_per_second']:,.0f}",
            f"{row['memory_mib']:,.0f} MiB",
        )  # fmt: skip
    console.print(table)
    console.print({key: f"{value:.2f}" for key, value in found.items() if key != "raw"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--parts", nargs="+", default=list(WORKS), choices=list(WORKS))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="steps and forward passes a turn")
    parser.add_argument("--worker", nargs=3, metavar=("SYSTEM", "PART", "STEPS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        system, name, steps = options.worker
        worker(system, name, int(steps))
        return
    console = Console(stderr=True)
    results = {}
    for name in options.parts:
        results[name] = part(name, options.turns, options.steps, console.print)
        show(console, name, results[name])
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
