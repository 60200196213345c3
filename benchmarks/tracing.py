"""What it costs to see a model at work: `python -m benchmarks.tracing [--json]`.

time    a forward pass of 512 tokens with a recorder and without, in turn; the ratio of the processor's seconds is judged
        by the median of its turns. Each recording is let go before the next begins.
memory  bytes that a recording holds besides the model's own, at 512 and at 2,048 tokens: four times is linear.
trace   seconds and bytes of the trace made of it.
page    milliseconds until the explorer shows its first picture in headless Chromium, and its bytes.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.tracing_page import opening

N, LONG = 512, 2048


class Subject(NamedTuple):
    """A model and what it is given at a length."""

    model: Any
    inputs: Callable[[int], tuple[Any, ...]]


def subjects() -> dict[str, Subject]:
    """Models of four layers of width 256, made of this library's parts, and one of Hugging Face's of the same size."""
    import torch

    from allyouneed.models.gpt import GPTConfig, gpt
    from allyouneed.models.reformer import ReformerConfig, language_model
    from allyouneed.models.transformer import TransformerConfig, transformer

    torch.manual_seed(1)
    sizes: dict[str, Any] = dict(vocab_size=1000, dim=256, heads=4, ffn_dim=1024, dropout=0.0)

    def ids(n: int) -> Any:
        return torch.randint(4, 1000, (1, n))

    found = {
        "transformer": Subject(transformer(TransformerConfig(depth=4, **sizes)), lambda n: (ids(n), ids(n))),
        "gpt": Subject(gpt(GPTConfig(depth=4, positions_length=LONG, **sizes)), lambda n: (ids(n),)),
        "reformer": Subject(language_model(ReformerConfig(depth=2, **sizes)), lambda n: (ids(n),)),
    }
    try:
        from transformers import BertConfig, BertModel
    except ImportError:
        return found
    shape: dict[str, Any] = dict(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024)
    bert = BertModel(BertConfig(vocab_size=1000, max_position_embeddings=LONG, **shape))
    return {**found, "hugging-face-bert": Subject(bert, lambda n: (ids(n),))}


def cost(subject: Subject, turns: int) -> dict[str, Any]:
    """Median ratio of the processor's time, recorded to not, and the medians themselves."""
    from allyouneed.tracing.record import record

    model, given = subject.model, subject.inputs(N)

    def recorded() -> None:
        with record(model):
            model(*given)

    plain, watched = [], []
    for _ in range(turns):
        plain.append(seconds(lambda: model(*given)))
        watched.append(seconds(recorded))
    ratios = [b / a for a, b in zip(plain, watched, strict=True)]
    middle = statistics.median
    return {"ratio": middle(ratios), "plain_ms": 1000 * middle(plain), "recorded_ms": 1000 * middle(watched)}


def seconds(work: Callable[[], Any]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def kept(subject: Subject, n: int) -> int:
    """Bytes of all that a recording holds and the model does not."""
    from allyouneed.tracing.record import record

    with record(subject.model) as seen:
        subject.model(*subject.inputs(n))
    own = {tensor.untyped_storage().data_ptr() for tensor in subject.model.state_dict().values()}
    held: dict[int, int] = {}
    for part in [*seen.looks.values(), *seen.calls.values()]:
        _count(part, held)
    return sum(size for place, size in held.items() if place not in own)


def _count(part: Any, held: dict[int, int]) -> None:
    import torch

    if isinstance(part, torch.Tensor):
        held[part.untyped_storage().data_ptr()] = part.untyped_storage().nbytes()
    elif isinstance(part, tuple):
        for inner in part:
            _count(inner, held)
    elif hasattr(part, "__dict__") and not isinstance(part, torch.nn.Module):
        _count(tuple(vars(part).values()), held)


def made(subject: Subject) -> dict[str, float]:
    from allyouneed.tracing.record import record

    with record(subject.model) as seen:
        subject.model(*subject.inputs(N))
    begun = time.process_time()
    trace = seen.trace()
    return {"trace_seconds": time.process_time() - begun, "trace_bytes": len(trace.to_bytes())}


def recorder(turns: int) -> dict[str, Any]:
    import torch

    found = {}
    with torch.inference_mode():
        for name, subject in subjects().items():
            subject.model.eval()
            cost(subject, 3)  # what is loaded and chosen at first is not counted
            short, long = kept(subject, N), kept(subject, LONG)
            sizes = {"kept_bytes": {N: short, LONG: long}, "growth": long / short}
            found[name] = {**cost(subject, turns), **sizes, **made(subject)}
    return found


def pages(turns: int) -> dict[str, Any]:
    return opening(max(3, turns // 4))


PARTS: dict[str, Callable[[int], dict[str, Any]]] = {"recorder": recorder, "page": pages}
"""What is measured, by name."""


def show(console: Console, found: dict[str, Any]) -> None:
    table = Table("model", "plain", "recorded", "ratio", f"kept at {N}", f"at {LONG}", "growth", "trace",
                  title=f"recording a forward pass of {N} tokens, processor's time")  # fmt: skip
    for name, row in found.get("recorder", {}).items():
        short, long = row["kept_bytes"].values()
        table.add_row(
            name, f"{row['plain_ms']:.1f} ms", f"{row['recorded_ms']:.1f} ms", f"{row['ratio']:.3f}",
            f"{short / 1e6:.1f} MB", f"{long / 1e6:.1f} MB", f"{row['growth']:.2f}",
            f"{row['trace_seconds']:.2f} s, {row['trace_bytes'] / 1e6:.1f} MB",
        )  # fmt: skip
    if "recorder" in found:
        console.print(table)
    if rows := found.get("page", {}):
        _show_pages(console, rows)


def _show_pages(console: Console, rows: dict[str, Any]) -> None:
    if "skipped" in rows:
        console.print(rows["skipped"])
        return
    table = Table("layers x heads x tokens", "page", "first picture", "from outside", "made in", title="opening a page")
    for name, row in rows.items():
        table.add_row(
            name, f"{row['bytes'] / 1e6:.1f} MB", f"{row['ready_ms']:.0f} ms", f"{row['wall_ms']:.0f} ms",
            f"{row['made_seconds']:.1f} s",
        )  # fmt: skip
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--turns", type=int, default=21)
    options = parser.parse_args()
    found = {part: PARTS[part](options.turns) for part in options.parts}
    show(Console(stderr=True), found)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
