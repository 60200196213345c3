"""The translator on a GPU beside its peers: training in bf16, eager and compiled, and decoding.

`python -m benchmarks.gpu [--size paper-big] [--json]`. The work is made up, so that nothing need be there: batches of
random ids, about 25,000 tokens a side as in the paper, in a few widths, most of their cells full. The systems take
turns on the same batches in one process; the best turn counts. Model FLOP utilisation is the matrix products' operations
by `benchmarks.work.flops` over the seconds and the maker's peak for dense bf16 (where the GPU is known here), and over
what a large product reaches in the same run. Decoding is forced to one length, so that all do the same work.
`--device cpu --size tiny` runs the same code anywhere, for a look and for the tests; its figures mean nothing.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from allyouneed.data.subwords import BOS, EOS
from allyouneed.decoding.beam import beam
from allyouneed.decoding.greedy import greedy
from allyouneed.tasks.translation import Batch
from benchmarks.peers import SIZES, SYSTEMS, Size
from benchmarks.work import ceiling, flops, now

WIDTHS = (16, 24, 32, 48)  # of both sides; sentences fill them but for up to 7 cells
PEAKS = {  # dense bf16 of the makers' data sheets, operations a second
    "H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "A10G": 70e12,
}  # fmt: skip
TRAINED = ("allyouneed", "nn.Transformer", "marian")
WARM = 3  # steps before the clock starts


class Load(NamedTuple):
    """How much is done."""

    vocab_size: int
    tokens: int  # of a batch, each side
    batches: int
    sentences: int  # decoded together
    length: int  # of what is decoded


LOADS = {"cuda": Load(37_000, 25_000, 24, 256, 32), "cpu": Load(64, 128, 4, 4, 5)}


def made_up(load: Load, device: str) -> list[Batch]:
    """Batches of random sentences."""
    draw = torch.Generator().manual_seed(1)
    return [_batch(load, WIDTHS[i % len(WIDTHS)], draw, device) for i in range(load.batches)]


def _batch(load: Load, width: int, draw: torch.Generator, device: str) -> Batch:
    b = max(load.tokens // width, 1)
    sides = []
    for _ in range(2):
        ids = torch.randint(4, load.vocab_size, (b, width), generator=draw)
        lengths = torch.randint(width - 7, width + 1, (b, 1), generator=draw)
        lengths[0] = width
        place = torch.arange(width)
        sides.append(ids.masked_fill(place >= lengths, 0).masked_fill(place == lengths - 1, EOS))
    source, target = sides
    begun = torch.cat([torch.full((b, 1), BOS), target[:, :-1].masked_fill(target[:, :-1] == EOS, 0)], dim=1)
    return Batch(*(side.to(device) for side in (source, begun, target)))


class Trainer:
    """One system, ready to train; `seconds` runs all batches once."""

    def __init__(self, system: str, size: Size, load: Load, device: str, compiled: bool):
        torch.manual_seed(1)
        self.device = device
        model, loss = SYSTEMS[system](size, load.vocab_size)
        self.model = model.to(device).train()
        self.loss: Callable[[Batch], Tensor] = torch.compile(loss, dynamic=False) if compiled else loss
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)

    def step(self, batch: Batch) -> None:
        with torch.autocast(self.device, torch.bfloat16):
            value = self.loss(batch)
        value.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def seconds(self, batches: list[Batch]) -> float:
        begun = now(self.device)
        for batch in batches:
            self.step(batch)
        return now(self.device) - begun


def train_part(size: Size, load: Load, device: str, forms: list[str], turns: int, say: Any) -> dict[str, Any]:
    batches = made_up(load, device)
    work = sum(flops(b, size.dim, size.ffn_dim, size.depth, load.vocab_size) for b in batches)
    tokens = sum(int((b.source != 0).sum() + (b.target_out != 0).sum()) for b in batches)
    found: dict[str, Any] = {}
    for form in forms:  # one form at a time in memory, its systems in turn
        trainers = {}
        for system in TRAINED:
            trainer, begun = Trainer(system, size, load, device, form == "compiled"), time.perf_counter()
            try:
                for batch in [*batches[: len(WIDTHS)], *batches[:WARM]]:
                    trainer.step(batch)
            except Exception as error:  # a peer that cannot be compiled is a finding, not the end of the benchmark
                found[f"{system} {form}"] = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
                continue
            now(device)
            trainers[system] = trainer
            found[f"{system} {form}"] = {"warm_up_seconds": time.perf_counter() - begun, "seconds": float("inf")}
        for turn in range(turns):
            for system, trainer in trainers.items():
                row = found[f"{system} {form}"]
                seconds = trainer.seconds(batches)
                row["seconds"] = min(row["seconds"], seconds)
                say(f"{system} {form} turn {turn + 1}/{turns}: {tokens / seconds:,.0f} tokens/s")
        for system, trainer in trainers.items():
            found[f"{system} {form}"] |= {"memory_mib": memory(trainer, batches), "parameters": sum(
                p.numel() for p in trainer.model.parameters())}  # fmt: skip
    return {name: {**row, **speeds(row, tokens, work)} for name, row in found.items()}


def memory(trainer: Trainer, batches: list[Batch]) -> float | None:
    """MiB at the peak of a step above what all systems hold between steps, and the system's own weights and moments."""
    if trainer.device != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    for batch in batches[: len(WIDTHS)]:
        trainer.step(batch)
    own = 3 * sum(p.numel() * p.element_size() for p in trainer.model.parameters())
    return (torch.cuda.max_memory_allocated() - before + own) / 2**20


def speeds(row: dict[str, Any], tokens: int, work: float) -> dict[str, float]:
    if "failed" in row:
        return {}
    return {"tokens_per_second": tokens / row["seconds"], "flops_per_second": work / row["seconds"]}


def decode_part(size: Size, load: Load, device: str, turns: int, say: Any) -> dict[str, Any]:
    """Greedy and beam 5 with random weights in bf16, every output `length` tokens long; sentences a second."""
    source = _batch(load, load.length, torch.Generator().manual_seed(2), device).source
    found = {}
    for name, decode in (("allyouneed", _ours(size, load, device)), ("marian generate", _marian(size, load, device))):
        for width in (1, 5):
            decode(source[:2], width)
            times = []
            for _ in range(turns):
                begun = now(device)
                decode(source, width)
                times.append(now(device) - begun)
            found[f"{name} beam {width}"] = {"sentences_per_second": len(source) / min(times)}
            say(f"{name} beam {width}: {len(source) / min(times):,.1f} sentences/s")
    return found


def _ours(size: Size, load: Load, device: str) -> Callable[[Tensor, int], Any]:
    model = _for_decoding("allyouneed", size, load, device)

    def decode(source: Tensor, width: int) -> Any:
        limits = {"max_lengths": load.length, "min_length": load.length}
        return greedy(model, source, **limits) if width == 1 else beam(model, source, width, **limits)  # type: ignore[arg-type]

    return decode


def _marian(size: Size, load: Load, device: str) -> Callable[[Tensor, int], Any]:
    model: Any = _for_decoding("marian", size, load, device)
    model.generation_config.max_length = None

    def decode(source: Tensor, width: int) -> Any:
        with torch.inference_mode():
            return model.generate(
                input_ids=source, attention_mask=source != 0, num_beams=width, do_sample=False, use_cache=True,
                min_new_tokens=load.length, max_new_tokens=load.length,
            )  # fmt: skip

    return decode


def _for_decoding(system: str, size: Size, load: Load, device: str) -> nn.Module:
    torch.manual_seed(1)
    return SYSTEMS[system](size, load.vocab_size)[0].to(device, torch.bfloat16).eval()


def peak_of(device: str) -> float | None:
    """The maker's figure for this GPU, where it is in the table."""
    name = torch.cuda.get_device_name() if device == "cuda" else ""
    return next((peak for key, peak in PEAKS.items() if key in name), None)


def measure(options: argparse.Namespace, say: Any) -> dict[str, Any]:
    device, size, load = options.device, SIZES[options.size], LOADS[options.device]
    forms = [form for form in ("eager", "compiled") if form in options.forms]
    torch._dynamo.config.cache_size_limit = 64  # one shape of a batch is one compilation
    top = ceiling(torch.bfloat16, 8192 if device == "cuda" else 256, 10, device)
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu", "torch": torch.__version__,
        "size": options.size, "ceiling_flops": top, "peak_flops": peak_of(device),
        "train": train_part(size, load, device, forms, options.turns, say),
    }  # fmt: skip
    for row in found["train"].values():
        if "failed" not in row:
            row["ceiling_share"] = row["flops_per_second"] / top
            row["utilisation"] = row["flops_per_second"] / found["peak_flops"] if found["peak_flops"] else None
    found["decode"] = decode_part(size, load, device, options.turns, say)
    return found


def show(console: Console, found: dict[str, Any]) -> None:
    peak = found["peak_flops"]
    title = f"{found['device']}, torch {found['torch']}, {found['size']}: a large product reaches "
    title += f"{found['ceiling_flops'] / 1e12:,.1f} TFLOP/s" + (f", the maker says {peak / 1e12:,.0f}" if peak else "")
    header = ("system", "tokens/s", "of the peak", "of the product", "MiB", "warm-up s")
    table = Table(*header, title=title, title_justify="left")
    for name, row in found["train"].items():
        if "failed" in row:
            table.add_row(name, row["failed"])
            continue
        share = [f"{row[key]:.1%}" if row[key] else "-" for key in ("utilisation", "ceiling_share")]
        held = f"{row['memory_mib']:,.0f}" if row["memory_mib"] else "-"
        table.add_row(name, f"{row['tokens_per_second']:,.0f}", *share, held, f"{row['warm_up_seconds']:,.0f}")
    console.print(table)
    for name, row in found["decode"].items():
        console.print(f"{name}: {row['sentences_per_second']:,.1f} sentences/s")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--size", default="paper-big", choices=list(SIZES))
    parser.add_argument("--device", default="cuda", choices=list(LOADS))
    parser.add_argument("--forms", nargs="+", default=["eager", "compiled"], choices=["eager", "compiled"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "error: this benchmark measures a GPU and torch sees none here; "
            "`--device cpu --size tiny` shows that it runs"
        )
    console = Console(stderr=True, width=120)
    found = measure(options, console.print)
    show(console, found)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
