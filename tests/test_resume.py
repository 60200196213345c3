"""Exact resume: however a run is broken off, the resumed one has the same losses and weights, to the last bit."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tiny import Command, bits, losses, process, sets, train_words

from allyouneed import cli, load
from allyouneed.training import checkpoint
from allyouneed.training.engine import Engine

STEPS, EVERY = 150, 7
# Everything that must survive: dropout, an average, a mean of checkpoints (as many as are kept), spellings per epoch,
# accumulation, lines of the log between checkpoints.
WORDS = ["--max-steps", str(STEPS), *sets(
    f"training.save_every={EVERY}", "training.keep_checkpoints=3", "training.average_last=3", "training.validate_every=40",
    "training.log_every=4", "training.accumulate=2", "model.dropout=0.2", "data.bpe_dropout=0.1", "training.seed=11",
)]  # fmt: skip


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing interrupted, in a process of its own."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    running = process(train_words(data, folder, *WORDS))
    _, err = running.communicate(timeout=300)
    assert running.returncode == 0, err
    return folder


def same(folder: Path, whole: Path) -> None:
    """The same figures and the same weights, the mean of checkpoints and all optimiser state among them."""
    assert losses(folder) == losses(whole)
    last = f"checkpoints/step-{STEPS:08d}"
    for name in ("model.safetensors", f"{last}/model.safetensors", f"{last}/state.safetensors"):
        assert bits(folder / name) == bits(whole / name), name
    kept = [sorted(path.name for path in (run / "checkpoints").iterdir()) for run in (folder, whole)]
    assert kept[0] == kept[1]


def steps_done(folder: Path) -> int:
    lines = (folder / "metrics.jsonl").read_bytes().splitlines() if (folder / "metrics.jsonl").exists() else []
    return max((int(m[1]) for line in lines if (m := re.match(rb'\{"step": (\d+),', line))), default=0)


def wait_for(folder: Path, step: int, running: "subprocess.Popen[str]") -> bool:
    """Until the run is at `step`; False if it ended before."""
    end = time.monotonic() + 240
    while steps_done(folder) < step:
        if running.poll() is not None:
            return False
        assert time.monotonic() < end, "the run stands still"
        time.sleep(0.002)
    return True


def resume_words(folder: Path) -> list[str]:
    return ["train", "translation", "--out", str(folder), "--resume"]


# ---- killed


def test_killed_and_resumed_by_the_command(data: Path, whole: Path, tmp_path: Path) -> None:
    folder, draw = tmp_path / "run", random.Random(os.getpid())  # another moment each time the test is run
    words, kills = train_words(data, folder, *WORDS), 0
    for step in (draw.randrange(2, 40), draw.randrange(60, 120)):
        running = process(words)
        assert wait_for(folder, step, running), running.communicate()[1]
        time.sleep(draw.random() * 0.03)
        running.kill()
        running.communicate()
        kills += running.returncode == -signal.SIGKILL
        words = resume_words(folder)
    running = process(words)
    _, err = running.communicate(timeout=300)
    assert running.returncode == 0 and kills >= 1 and ("resuming" in err or "begins at step 0" in err), err
    same(folder, whole)


def forked(words: list[str], log: Path) -> int:
    """The command in a fork of this process, which has torch loaded already: its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1), os.dup2(handle, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        sys.argv = ["allyouneed", *words]
        cli.main()
    except SystemExit as end:
        sys.stderr.flush()
        os._exit(int(end.code or 0))
    finally:
        os._exit(99)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking: torch runs on one thread here
def test_killed_again_and_again(data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At moments drawn anew in each run of the test, the beginning included, where there is nothing to resume yet."""
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    folder, log, draw = tmp_path / "run", tmp_path / "log", random.Random()
    code, times = None, 0
    while code != 0:
        begun = (folder / "config.yaml").exists()
        pid = forked(resume_words(folder) if begun else train_words(data, folder, *WORDS), log)
        if times < 12:
            time.sleep(draw.uniform(0.02, 0.6 if begun else 0.3))
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in (0, -signal.SIGKILL), log.read_text()
        times += 1
        assert times < 20
    same(folder, whole)


def test_killed_before_the_last_validation(
    command: Command, data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last checkpoint is there, but not what the run is for: its model."""

    class Killed(BaseException):
        pass

    def die(_: Engine) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_finish", die)
        with pytest.raises(Killed):
            command(*train_words(data, tmp_path / "run", "--max-steps", "14", *WORDS[2:]))
    assert not (tmp_path / "run" / "model.safetensors").exists()
    code, _, err = command(*resume_words(tmp_path / "run"))
    assert (
        code == 0
        and "ended after 14 steps" in err
        and load(tmp_path / "run").translate("Anna sieht den Park.") is not None
    )
    code, _, err = command(*resume_words(tmp_path / "run"))
    assert code == 0 and "ended already, after 14 steps" in err


# ---- interrupted


def test_ctrl_c_saves_and_says_how_to_go_on(data: Path, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my run"
    running = process(train_words(data, folder, *WORDS))
    assert wait_for(folder, 24, running), running.communicate()[1]
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=300)
    assert (running.returncode, out) == (130, "") and "Traceback" not in err
    stopped = re.search(r"stopped at step (\d+), all saved; to go on: (.*)", err)
    assert stopped and stopped[2] == f"allyouneed train translation --out '{folder}' --resume"
    newest, _ = checkpoint.latest(folder / "checkpoints")
    assert newest is not None and newest.step == int(stopped[1]) < STEPS
    load(folder)  # usable already
    done = subprocess.run(
        stopped[2].replace("allyouneed", f"{sys.executable} -m allyouneed", 1), shell=True, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and f"at step {newest.step}" in done.stderr
    same(folder, whole)


def test_a_request_to_end_is_heard_as_ctrl_c_is(
    command: Command, data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM, as a cluster sends it, in the middle of a step."""
    step = Engine._step

    def ended(self: Engine, *rest: Any) -> None:
        step(self, *rest)
        if self.at.step == 30:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_step", ended)
        code, _, err = command(*train_words(data, tmp_path / "run", *WORDS))
    assert code == 130 and "stopped at step 31, all saved" in err and signal.getsignal(signal.SIGTERM) == before
    assert command(*resume_words(tmp_path / "run")).code == 0
    same(tmp_path / "run", whole)


def test_an_interrupted_run_keeps_the_checkpoints_that_its_mean_needs(tmp_path: Path) -> None:
    def save(step: int) -> list[int]:
        checkpoint.save(tmp_path, step, {}, {}, {}, keep=3, every=10)
        return sorted(int(path.name[5:]) for path in tmp_path.iterdir())

    assert [save(step) for step in (10, 20, 30, 37, 38, 40, 50, 55)][3:] == [
        [10, 20, 30, 37], [10, 20, 30, 38], [20, 30, 40], [30, 40, 50], [30, 40, 50, 55],
    ]  # fmt: skip


# ---- damaged


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("name", ["state.safetensors", "model.safetensors", "state.json", "manifest.json"])
def test_a_torn_checkpoint_is_told_and_the_one_before_it_used(
    name: str, command: Command, whole: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    cut(folder / "checkpoints" / f"step-{STEPS:08d}" / name)
    code, _, err = command(*resume_words(folder))
    assert code == 0 and f"warning: the checkpoint {folder}/checkpoints/step-{STEPS:08d} is skipped" in err
    assert f"resuming {folder} at step {STEPS - STEPS % EVERY}" in err
    same(folder, whole)


def test_without_any_whole_checkpoint_a_run_begins_again(command: Command, whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    for path in (folder / "checkpoints").iterdir():
        cut(path / "model.safetensors")
    code, _, err = command(*resume_words(folder))
    assert code == 0 and "training begins at step 0" in err and err.count("warning:") == 4
    assert losses(folder) == losses(whole) and bits(folder / "model.safetensors") == bits(whole / "model.safetensors")


def test_a_full_disk_leaves_the_checkpoint_before_it(
    command: Command, data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, folder = checkpoint._write, tmp_path / "run"

    def full(path: Path, pieces: Iterable[bytes]) -> dict[str, Any]:
        if "step-00000021" in str(path) and path.name == "state.safetensors":
            path.write_bytes(b"".join(pieces)[:1000])
            raise OSError(28, "No space left on device", str(path))
        return write(path, pieces)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_write", full)
        sentence = command.refuses(*train_words(data, folder, *WORDS))
    assert sentence.startswith(f"no space left on {folder}/checkpoints; the checkpoint of step 14 is kept")
    newest, warnings = checkpoint.latest(folder / "checkpoints")
    assert newest is not None and newest.step == 14 and not warnings
    assert command(*resume_words(folder)).code == 0
    same(folder, whole)


@pytest.mark.parametrize("torn", [b"", b'{"step": 9, "kind": "tra'])
def test_a_torn_line_of_the_log_does_no_harm(torn: bytes, command: Command, whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    shutil.rmtree(folder / "checkpoints" / f"step-{STEPS:08d}")
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(torn)
    assert command(*resume_words(folder)).code == 0
    assert losses(folder) == losses(whole)
    assert all(json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())


# ---- gone on with under other words (refusals of changed settings and data: test_cli.py)


def test_a_raised_limit_is_kept_for_the_next_resume(command: Command, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = train_words(data, folder, "--max-steps", "6", "--set", "training.schedule=constant")
    assert command(*words).code == 0
    code, _, err = command(*resume_words(folder), "--max-steps", "12")
    assert code == 0 and "resuming" in err and "at step 6" in err and "ended after 12 steps" in err
    assert load(folder).settings.training.max_steps == 12
    assert "ended already, after 12 steps" in command(*resume_words(folder)).err
    straight = train_words(data, tmp_path / "straight", "--max-steps", "12", "--set", "training.schedule=constant")
    assert command(*straight).code == 0
    last = "checkpoints/step-00000012/model.safetensors"
    assert bits(folder / last) == bits(tmp_path / "straight" / last)


def test_nothing_depends_on_the_random_numbers_drawn_before(
    command: Command, data: Path, whole: Path, tmp_path: Path
) -> None:
    import torch

    torch.manual_seed(99)
    torch.rand(1000)
    assert command(*train_words(data, tmp_path / "run", *WORDS)).code == 0
    same(tmp_path / "run", whole)


def test_another_clock_changes_nothing(
    command: Command, data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now: Any = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: 3 * now())
    assert command(*train_words(data, tmp_path / "run", *WORDS)).code == 0
    same(tmp_path / "run", whole)
