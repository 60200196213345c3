"""Two processes on this processor, as torchrun starts them: the losses and weights of one process, by DDP and by FSDP2."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import ENVIRONMENT, Command, corpus, losses, sets, train_words

from allyouneed import load
from allyouneed.recipes import translation
from allyouneed.recipes.folder import stored_settings
from allyouneed.training.checkpoint import Checkpoint, load_tensors

STEPS, HALF = 16, 10
WORDS = sets(
    "model.dropout=0", "training.schedule=constant", "training.learning_rate=0.002", "training.save_every=5",
    "training.validate_every=8", "data.max_sentences=98", "model.depth=2", "training.eps=1e-6",
)  # fmt: skip


def torchrun(*words: str) -> "subprocess.CompletedProcess[str]":
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "allyouneed"]
    return subprocess.run(
        [sys.executable, *launch, *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )


def train_by_two(data: Path, folder: Path, parallel: str, steps: int) -> Path:
    done = torchrun(
        *train_words(data, folder, *WORDS, "--max-steps", str(steps), "--set", f"training.parallel={parallel}")
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("98 training pairs") == 1 and done.stderr.count("ended after") == 1  # one rank speaks
    return folder


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process that accumulates over two batches: what two processes do."""
    folder = tmp_path_factory.mktemp("runs") / "alone"
    words = [*train_words(data, folder, *WORDS, "--max-steps", str(STEPS)), "--set", "training.accumulate=2"]
    done = subprocess.run(
        [sys.executable, "-m", "allyouneed", *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def ddp(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_by_two(data, tmp_path_factory.mktemp("runs") / "ddp", "ddp", STEPS)


@pytest.fixture(scope="module")
def fsdp(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only the first part of the run."""
    return train_by_two(data, tmp_path_factory.mktemp("runs") / "fsdp", "fsdp", HALF)


def same_losses(folder: Path, other: Path, first: int, last: int) -> None:
    ours, theirs = (
        {(line["step"], line["kind"]): line for line in losses(run) if first <= line["step"] <= last}
        for run in (folder, other)
    )
    assert ours.keys() == theirs.keys() and len(ours) > last - first
    for place, line in ours.items():
        for name in ("loss", "nll", "learning_rate", "dev_nll", "epoch"):
            if name in line:
                assert line[name] == pytest.approx(theirs[place][name], rel=2e-5), (place, name)


def same_weights(folder: Path, other: Path, step: int) -> None:
    for name in ("model.safetensors", "state.safetensors"):
        ours, theirs = (load_tensors(run / "checkpoints" / f"step-{step:08d}" / name) for run in (folder, other))
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            torch.testing.assert_close(
                tensor, theirs[key], atol=2e-4, rtol=1e-3, msg=lambda text, key=key: f"{key}: {text}"
            )


def resume_words(folder: Path) -> list[str]:
    return ["train", "translation", "--out", str(folder), "--resume", "--max-steps", str(STEPS)]


def at_half(folder: Path, to: Path) -> Path:
    """The run as if it had been killed after half of it."""
    shutil.copytree(folder, to)
    for path in (to / "checkpoints").iterdir():
        if int(path.name[5:]) > HALF:
            shutil.rmtree(path)
    return to


def test_the_runs_have_a_step_in_which_one_rank_has_no_batch(alone: Path) -> None:
    settings = stored_settings(alone, translation.KIND)
    prepared = translation.prepare(settings, alone, True)
    batches = len(prepared.task.plan(0))
    assert batches % 2 == 1 and batches // 2 + 1 < HALF, "or these tests would prove less"


def test_ddp_has_the_losses_and_weights_of_one_process(ddp: Path, alone: Path) -> None:
    same_losses(ddp, alone, 1, STEPS)
    same_weights(ddp, alone, STEPS)


def test_fsdp_has_the_losses_and_weights_of_one_process(fsdp: Path, alone: Path) -> None:
    same_losses(fsdp, alone, 1, HALF - 1)
    same_weights(fsdp, alone, HALF)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_their_run_folders_are_like_any_other(kind: str, request: pytest.FixtureRequest, command: Command) -> None:
    folder = request.getfixturevalue(kind)
    run, lines = load(folder), corpus().val.source
    code, out, _ = command("translate", folder, stdin="".join(line + "\n" for line in lines).encode())
    assert code == 0 and out.splitlines() == run.translate(lines)
    step = STEPS if kind == "ddp" else HALF
    model = Checkpoint(step, folder / "checkpoints" / f"step-{step:08d}").model()
    assert {name: tensor.shape for name, tensor in model.items()} == {
        name: tensor.shape for name, tensor in run.model.state_dict().items()
    }


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_run_of_two_goes_on_in_one(
    kind: str, request: pytest.FixtureRequest, alone: Path, command: Command, tmp_path: Path
) -> None:
    """Compared with the run of one process, which also goes on without accumulating."""
    folder = at_half(request.getfixturevalue(kind), tmp_path / kind)
    reference = at_half(alone, tmp_path / "alone")
    config = reference / "config.yaml"
    config.write_text(config.read_text().replace("accumulate: 2", "accumulate: 1"))
    for run in (folder, reference):
        code, _, err = command(*resume_words(run))
        assert code == 0 and f"at step {HALF}" in err
    same_losses(folder, reference, HALF + 1, STEPS)
    same_weights(folder, reference, STEPS)


def test_a_sharded_run_goes_on_in_two(fsdp: Path, alone: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(fsdp, tmp_path / "fsdp"))
    done = torchrun(*resume_words(folder))
    assert done.returncode == 0 and f"at step {HALF}" in done.stderr, done.stderr
    same_losses(folder, alone, HALF + 1, STEPS)
    same_weights(folder, alone, STEPS)


def test_a_refusal_by_the_first_rank_ends_both(ddp: Path, data: Path) -> None:
    """The second rank waits for the first, which refuses to overwrite a run."""
    done = torchrun(*train_words(data, ddp, *WORDS))
    assert done.returncode != 0 and done.stderr.count("error: ") >= 1 and f"{ddp} already holds a run" in done.stderr


def test_one_process_needs_no_torchrun() -> None:
    from allyouneed.training import distributed

    assert "RANK" not in os.environ
    world = distributed.join()
    assert (world.rank, world.size, world.first) == (0, 1, True)
    assert world.share(2.5) == 2.5 and world.from_first("x") == "x" and world.agree(True) and not world.agree(False)
