"""What the tests of training and of the command line share: a tiny corpus, tiny settings, and the command in a process."""

import io
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from torch import Tensor

from allyouneed import cli
from allyouneed.data.grammar import generate
from allyouneed.data.parallel import Corpus, ParallelText
from allyouneed.records import read_metrics
from allyouneed.training.checkpoint import load_tensors

SETTINGS = [
    "model.dim=16", "model.heads=2", "model.ffn_dim=32", "model.depth=1", "data.vocab_size=300", "data.batch_tokens=512",
    "training.precision=float32", "training.warmup_steps=4", "training.learning_rate=0.01", "training.log_every=1",
    "data.bpe_dropout=0", "decoding.beam=2", "decoding.max_extra=5", "data.bpe_dropout=0",
]  # fmt: skip
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@cache
def corpus(train: int = 240, held_out: int = 12) -> Corpus:
    """A few sentences of the embedded grammar."""
    whole = generate("de-en")
    cut = [ParallelText(*(side[:n] for side in text)) for text, n in
           ((whole.train, train), (whole.val, held_out), (whole.tests["test"], held_out))]  # fmt: skip
    return Corpus(cut[0], cut[1], {"test": cut[2]}, "de", "en")


def write_pair(folder: Path, name: str, text: ParallelText) -> None:
    for language, side in zip(("de", "en"), text, strict=True):
        (folder / f"{name}.{language}").write_text("".join(line + "\n" for line in side), encoding="utf-8")


def write_corpus(folder: Path, train: int = 240) -> Path:
    """The corpus as `train.de train.en val.de ...` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = corpus(train)
    for name, pair in (("train", text.train), ("val", text.val), ("test", text.tests["test"])):
        write_pair(folder, name, pair)
    return folder


def sets(*assignments: str) -> list[str]:
    return [word for assignment in assignments for word in ("--set", assignment)]


def train_words(data: Path, out: Path, *more: str) -> list[str]:
    """The words of `allyouneed train translation` for a tiny model."""
    return ["train", "translation", "--data", str(data), "--out", str(out), *sets(*SETTINGS), *more]


def process(words: Sequence[str], **options: Any) -> "subprocess.Popen[str]":
    """`python -m allyouneed WORDS` on one thread."""
    command = [sys.executable, "-m", "allyouneed", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT, **options)


class Answer(NamedTuple):
    code: int
    out: str
    err: str


class Command:
    """`allyouneed WORDS` in this process, which need not load torch anew."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *words: object, stdin: bytes = b"") -> Answer:
        self.capsys.readouterr()
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["allyouneed", *map(str, words)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            with pytest.raises(SystemExit) as end:
                cli.main()
        code = end.value.code
        return Answer(0 if code is None else int(code), *self.capsys.readouterr())

    def refuses(self, *words: object, stdin: bytes = b"") -> str:
        """The one sentence of a refusal: exit code 2, a single line of error, nothing on standard output."""
        code, out, err = self(*words, stdin=stdin)
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert (code, out, len(lines)) == (2, "", 1) and "Traceback" not in err, err
        assert err.splitlines()[-1] == lines[0]
        return lines[0].removeprefix("error: ")


def losses(folder: Path) -> list[dict[str, Any]]:
    """`metrics.jsonl` less what depends on the clock."""
    clock = ("seconds", "tokens_per_second")
    return [{key: value for key, value in line.items() if key not in clock} for line in read_metrics(folder)]


def bits(path: Path) -> dict[str, tuple[str, bytes]]:
    """A safetensors file as bytes by name, for comparison to the last bit."""

    def raw(tensor: Tensor) -> tuple[str, bytes]:
        return f"{tensor.dtype} {tuple(tensor.shape)}", tensor.numpy().tobytes()

    return {name: raw(tensor) for name, tensor in load_tensors(path).items()}
