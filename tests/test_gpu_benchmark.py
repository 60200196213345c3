"""The benchmark for a GPU: it refuses in a sentence where there is none, and its code runs on a processor."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import ENVIRONMENT

from benchmarks import gpu
from benchmarks.peers import SIZES
from benchmarks.work import flops

ROOT = Path(__file__).parent.parent


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks.gpu", *words]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=900)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so() -> None:
    done = run()
    assert done.returncode == 1 and done.stdout == "" and done.stderr.startswith("error: this benchmark measures a GPU")
    assert len(done.stderr.splitlines()) == 1


def figures(*words: str) -> dict:
    done = run("--device", "cpu", "--size", "tiny", "--turns", "1", "--json", *words)
    assert done.returncode == 0, done.stderr
    found: dict = json.loads(done.stdout)
    return found


def test_all_of_it_runs_on_a_processor() -> None:
    found = figures("--forms", "eager")
    assert found["train"].keys() == {f"{system} eager" for system in gpu.TRAINED}
    for row in found["train"].values():
        assert row["tokens_per_second"] > 0 and 0 < row["ceiling_share"] < 1
    assert found["decode"].keys() == {f"{s} beam {k}" for s in ("allyouneed", "marian generate") for k in (1, 5)}


@pytest.mark.slow
def test_the_compiled_form_runs_on_a_processor() -> None:
    found = figures("--forms", "compiled")
    assert "failed" not in found["train"]["allyouneed compiled"], found["train"]


def test_the_batches_are_full_and_the_targets_shifted() -> None:
    load = gpu.LOADS["cpu"]
    for batch in gpu.made_up(load, "cpu"):
        assert batch.source.shape == batch.target_in.shape and batch.source.shape[1] in gpu.WIDTHS
        assert float((batch.source != 0).float().mean()) > 0.7
        for begun, out in zip(batch.target_in.tolist(), batch.target_out.tolist(), strict=True):
            words = [i for i in out if i > 2]
            assert [i for i in begun if i] == [1, *words] and [i for i in out if i] == [*words, 2]


def test_the_operations_are_those_of_the_paper() -> None:
    """Six per weight and cell in the layers (weights counted by the model itself), and the products of attention."""
    size, vocab = SIZES["tiny"], 64
    model, _ = gpu.SYSTEMS["allyouneed"](size, vocab)
    matrices = {n: p.numel() for n, p in model.named_parameters() if p.dim() == 2 and "embedding" not in n}
    batch = gpu.made_up(gpu.LOADS["cpu"], "cpu")[0]
    b, n = batch.source.shape
    layers = sum(count for name, count in matrices.items() if "head" not in name)
    looking = 3 * 2 * n * n * size.dim * b * size.depth
    head = int((batch.target_out != 0).sum()) * size.dim * vocab
    assert flops(batch, size.dim, size.ffn_dim, size.depth, vocab) == 6 * (b * n * layers + looking + head)
