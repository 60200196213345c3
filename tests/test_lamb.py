"""LAMB against a step worked out by hand, against Adam where its ratio is one, and through a resume."""

import math
from pathlib import Path

import pytest
import torch
from tiny import Command, bits, sets

from allyouneed.tasks.task import Group
from allyouneed.training.lamb import Lamb, trust_ratio
from allyouneed.training.optim import make_optimizer
from allyouneed.training.settings import TrainingSettings


def test_two_steps_by_hand() -> None:
    """w = (3, 4), first g = (1, -2), then g = (0, 1); betas 0.5 and 0.75, eps 0, decay 0.1, rate 0.01.

    Step 1: m^ = g and v^ = g g, so m^ / sqrt(v^) = (1, -1), and u = (1.3, -0.6); the ratio is 5 / |u|.
    Step 2: m = (0.25, 0), m^ = m / 0.75 = (1/3, 0); v = (0.1875, 1), v^ = v / 0.4375.
    """
    weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = Lamb([weight], lr=0.01, betas=(0.5, 0.75), eps=0.0, weight_decay=0.1)
    weight.grad = torch.tensor([1.0, -2.0])
    optimizer.step()
    ratio = 5 / math.hypot(1.3, 0.6)
    first = [3 - 0.01 * ratio * 1.3, 4 + 0.01 * ratio * 0.6]
    torch.testing.assert_close(weight.data, torch.tensor(first))
    weight.grad = torch.tensor([0.0, 1.0])
    optimizer.step()
    m, v = [0.5 * 0.5, 0.5 * -1.0 + 0.5], [0.75 * 0.25, 0.75 * 1.0 + 0.25]
    u = [m[i] / 0.75 / math.sqrt(v[i] / 0.4375) + 0.1 * first[i] for i in range(2)]
    ratio = math.hypot(*first) / math.hypot(*u)
    torch.testing.assert_close(weight.data, torch.tensor([first[i] - 0.01 * ratio * u[i] for i in range(2)]))


def test_the_ratio_where_there_is_none() -> None:
    one, zero = torch.ones(3, 2), torch.zeros(3, 2)
    assert trust_ratio(one, zero) == trust_ratio(zero, one) == 1
    assert trust_ratio(2 * one, one) == 2
    weight = torch.nn.Parameter(torch.zeros(3, 2))
    weight.grad = torch.ones(3, 2)
    Lamb([weight], lr=0.1, eps=0.0).step()
    torch.testing.assert_close(weight.data, torch.full((3, 2), -0.1))


def test_without_the_ratio_it_is_adamw() -> None:
    """With decoupled decay AdamW shrinks before it steps; without decay the two are one."""
    ours, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 6).view(2, 3)) for _ in range(2))
    optimizers = [Lamb([ours], lr=0.05, eps=1e-6, adapt=False),
                  torch.optim.AdamW([theirs], lr=0.05, eps=1e-6, weight_decay=0.0)]  # fmt: skip
    for step in range(5):
        gradient = torch.randn(2, 3, generator=torch.Generator().manual_seed(step))
        for weight, optimizer in zip((ours, theirs), optimizers, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_norms_and_biases_are_left_out() -> None:
    layer = torch.nn.Linear(4, 3)
    optimizer = make_optimizer([Group(list(layer.parameters()), 0.5)], TrainingSettings(optimizer="lamb"))
    assert [(g["adapt"], g["weight_decay"], g["rate"], len(g["params"])) for g in optimizer.param_groups] == [
        (True, 0.01, 0.5, 1), (False, 0.0, 0.5, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("words", [["training.optimizer=lamb", "training.schedule=linear", "data.short_length=12",
                                    "data.short_share=0.5"]], ids=["lamb, linear, curriculum"])  # fmt: skip
def test_a_run_goes_on_exactly(command: Command, tmp_path: Path, words: list[str]) -> None:
    """Its state is saved and read as Adam's is, and the change of length falls into the same place."""
    text = "\n".join(f"the {a} {b} sees the {c}\n" * (1 + i % 3) for i, (a, b, c) in enumerate(
        (a, b, c) for a in ("old", "young", "red") for b in ("dog", "cat") for c in ("bird", "fish", "tree")))  # fmt: skip
    (tmp_path / "raw.txt").write_text(text)
    small = ["model.dim=16", "model.heads=2", "model.ffn_dim=32", "model.depth=1", "data.vocab_size=200",
             "data.length=32", "data.batch_tokens=200", "training.precision=float32", "training.save_every=5",
             "training.max_epochs=8", *words]  # fmt: skip
    given = ["train", "masked-lm", "--data", tmp_path / "raw.txt"]
    assert command(*given, "--out", tmp_path / "whole", "--max-steps", 9, *sets(*small)).code == 0
    assert command(*given, "--out", tmp_path / "parts", "--max-steps", 9, *sets(*small)).code == 0
    for later in (tmp_path / "parts" / "checkpoints").glob("*9"):
        for file in later.iterdir():
            file.unlink()
        later.rmdir()
    resumed = command("train", "masked-lm", "--out", tmp_path / "parts", "--resume")
    assert resumed.code == 0 and "at step 5" in resumed.err + resumed.out
    assert bits(tmp_path / "whole" / "model.safetensors") == bits(tmp_path / "parts" / "model.safetensors")
