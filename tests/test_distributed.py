"""Two processes on this processor, as torchrun starts them: the losses and weights of one process, by DDP and by FSDP2."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from tiny import ENVIRONMENT, Command, corpus, losses, sets, train_words
from torch import Tensor, nn

from allyouneed import load
from allyouneed.recipes import translation
from allyouneed.recipes.folder import stored_settings
from allyouneed.tasks.task import Group, trainable
from allyouneed.training import distributed
from allyouneed.training.checkpoint import Checkpoint
from allyouneed.training.distributed import World
from allyouneed.training.engine import Engine
from allyouneed.training.progress import Silent
from allyouneed.training.settings import TrainingSettings

STEPS, HALF = 16, 10
WORDS = sets(
    "model.dropout=0", "training.schedule=constant", "training.learning_rate=0.002", "training.save_every=5",
    "training.validate_every=8", "data.max_sentences=98", "model.depth=2", "training.eps=1e-6",
)  # fmt: skip


def torchrun(*words: str, ranks: int = 2) -> "subprocess.CompletedProcess[str]":
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "-m", "allyouneed"]
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
    both = [Checkpoint.at(run / "checkpoints", step) for run in (folder, other)]
    for ours, theirs in ([c.model() for c in both], [c.state()[0] for c in both]):
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
    model = Checkpoint.at(folder / "checkpoints", step).model()
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


def test_each_rank_of_a_sharded_run_writes_its_rows(fsdp: Path) -> None:
    checkpoint = Checkpoint.at(fsdp / "checkpoints", HALF)
    names = sorted(path.name for path in checkpoint.path.glob("*.safetensors"))
    assert names == [f"{kind}-0000{i}-of-00002.safetensors" for kind in ("model", "state") for i in (1, 2)]
    for tensors in (checkpoint.stored_model(), checkpoint.stored_state()[0]):
        whole = [name for name, tensor in tensors.items() if len(tensor.pieces) == 1 and len(tensor.shape) > 1]
        assert not whole and len(tensors) > 10
    sizes = [path.stat().st_size for path in sorted(checkpoint.path.glob("model-*"))]
    assert max(sizes) < 0.6 * sum(sizes)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fsdp", "ddp"])
def test_a_run_of_two_goes_on_in_three(kind: str, data: Path, tmp_path: Path) -> None:
    """Six batches a step, whether two ranks read three each or three ranks two."""
    more = sets("training.accumulate=3", "data.batch_tokens=128", "training.save_every=4")
    words = [*train_words(data, tmp_path / "two", *WORDS), *more, *sets(f"training.parallel={kind}")]
    done = torchrun(*words, "--max-steps", "8")
    assert done.returncode == 0, done.stderr
    folder = Path(shutil.copytree(tmp_path / "two", tmp_path / "three"))
    shutil.rmtree(folder / "checkpoints" / "step-00000008")
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("accumulate: 3", "accumulate: 2"))
    done = torchrun("train", "translation", "--out", str(folder), "--resume", "--max-steps", "8", ranks=3)
    assert done.returncode == 0 and "at step 4" in done.stderr, done.stderr
    same_losses(folder, tmp_path / "two", 5, 8)
    same_weights(folder, tmp_path / "two", 8)
    shards = list((folder / "checkpoints" / "step-00000008").glob("model*.safetensors"))
    assert len(shards) == (3 if kind == "fsdp" else 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fsdp", "ddp"])
def test_two_nodes_that_meet_by_c10d(kind: str, data: Path, alone: Path, tmp_path: Path) -> None:
    """Two launchers, as two machines would run them, with one rank each and the run folder in a common place."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [*train_words(data, tmp_path / "run", *WORDS, "--max-steps", str(HALF)), *sets(f"training.parallel={kind}")]
    meet = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "test"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", *meet]
    nodes = [
        subprocess.Popen([*launch, "-m", "allyouneed", *words], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [node.communicate(timeout=400)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert "".join(said).count("ended after") == 1  # one rank of all speaks
    same_losses(tmp_path / "run", alone, 1, HALF - 1)
    same_weights(tmp_path / "run", alone, HALF)


def test_a_refusal_by_the_first_rank_ends_both(ddp: Path, data: Path) -> None:
    """The second rank waits for the first, which refuses to overwrite a run."""
    done = torchrun(*train_words(data, ddp, *WORDS))
    assert done.returncode != 0 and done.stderr.count("error: ") >= 1 and f"{ddp} already holds a run" in done.stderr


class One(NamedTuple):
    x: Tensor


class Counting:
    """See `Task`: a batch is its numbers, and what was read is counted."""

    metric, players = "score", ("model",)

    def __init__(self) -> None:
        self.read: list[int] = []

    def weight(self, batch: np.ndarray, epoch: int) -> int:
        return len(batch)

    tokens = weight

    def collate(self, batch: np.ndarray, epoch: int) -> One:
        self.read.append(int(batch[0]))
        return One(torch.from_numpy(batch).float()[:, None])

    def parameters(self, model: nn.Module, player: str) -> list[Group]:
        return trainable(model)

    def loss(self, model: nn.Module, batch: One, player: str) -> tuple[Tensor, dict[str, Tensor]]:
        total = model(batch.x).square().sum()
        return total, {"loss": total.detach()}


@pytest.mark.parametrize("batches", [1, 2, 3, 5])
def test_every_rank_makes_the_same_number_of_passes(
    batches: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of sharded weights each pass is a meeting of all ranks. The mean of their gradients is that of one process."""
    group = [np.arange(10 * i, 10 * i + i + 1) for i in range(1, batches + 1)]
    gradients, passes, weight = [], [], 0.0
    for world in (World(0, 2, torch.device("cpu")), World(1, 2, torch.device("cpu")), distributed.ALONE):
        torch.manual_seed(1)
        task = Counting()
        settings = TrainingSettings(precision="float32", clip_norm=0, ema_decay=0)
        engine = Engine(nn.Linear(1, 1), task, settings, tmp_path, Silent(), 1)  # type: ignore[arg-type]
        engine.world = world
        monkeypatch.setattr(engine.optimizers["model"], "zero_grad", lambda set_to_none: None)
        engine._step(group, 1.0)
        gradients.append([p.grad for p in engine.model.parameters()])
        passes.append(len(task.read))
        weight += engine.meter.weight
    assert passes[0] == passes[1] == -(-batches // 2) and passes[2] == batches
    assert weight == 2 * sum(map(len, group))
    for first, second, alone in zip(*gradients, strict=True):
        torch.testing.assert_close((first + second) / 2, alone)


def test_one_process_needs_no_torchrun() -> None:
    assert "RANK" not in os.environ
    world = distributed.join()
    assert (world.rank, world.size, world.first) == (0, 1, True)
    assert world.share(2.5) == 2.5 and world.from_first("x") == "x" and world.agree(True) and not world.agree(False)
