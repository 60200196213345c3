"""Language models: text cut to the letter, pieces that lose nothing, windows, scores against a loop, and the command."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allyouneed.data.running_pieces import RunningPieces
from allyouneed.data.running_text import cut, read_running_text
from allyouneed.errors import UserError
from allyouneed.models.catalogue import CATALOGUE
from allyouneed.nn.attention import CausalAttend, SelfAttention
from allyouneed.nn.embedding import TextInput, TokenEmbedding
from allyouneed.nn.frames import LanguageModel
from allyouneed.nn.heads import VocabularyHead
from allyouneed.nn.positions import SinusoidalPositions
from allyouneed.nn.stack import Stack
from allyouneed.tasks.language_model import HeldOut, LanguageModelTask, read, window

LINES = "".join(f"Line {i} says: the {'cat' if i % 3 else 'dog'} sleeps — 猫在睡觉。\n" for i in range(200))


def model_of(vocab: int = 30) -> LanguageModel:
    torch.manual_seed(1)
    embedding = TokenEmbedding(vocab, 16)
    decoder = Stack("ss", s=lambda: SelfAttention(16, 2, CausalAttend(0.0)))
    return LanguageModel(
        TextInput(embedding, SinusoidalPositions(16)), decoder, VocabularyHead(embedding.table.weight)
    ).eval()


# ---- text


@given(st.lists(st.text(min_size=1, max_size=400), min_size=1, max_size=4), st.sampled_from([0.05, 0.1, 0.3]))
@settings(max_examples=60, deadline=None)
def test_what_is_cut_is_the_whole_text(documents: list[str], held_out: float) -> None:
    try:
        text = cut(documents, held_out, "it")
    except UserError:
        assert sum(map(len, documents)) < 4000
        return
    assert "".join([*text.train, *text.val, *text.test]) == "".join(documents)


def test_a_file_is_cut_by_position_at_ends_of_lines(tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text(LINES, encoding="utf-8")
    text = read_running_text(tmp_path / "all.txt", 0.1)
    assert text.train[0] + text.val[0] + text.test[0] == LINES
    assert all(part[0].endswith("\n") for part in text)
    assert abs(len(text.train[0]) / len(LINES) - 0.8) < 0.01 and abs(len(text.val[0]) / len(LINES) - 0.1) < 0.01


def test_files_of_a_folder_are_splits_by_their_names(tmp_path: Path) -> None:
    for name in ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens", "notes.pdf"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    text = read_running_text(tmp_path)
    assert text == (["wiki.train.tokens"], ["wiki.valid.tokens"], ["wiki.test.tokens"])


@pytest.mark.parametrize("make, words", [
    (lambda p: p / "nowhere", "no file or folder"),
    (lambda p: (p / "a").mkdir() or p / "a", "holds no text file"),
    (lambda p: (p / "e.txt").write_text(" \n") and p / "e.txt", "is empty"),
    (lambda p: (p / "s.txt").write_text("a") and p / "s.txt", "too short"),
    (lambda p: (p / "b.txt").write_bytes(b"ab\xff\ncd") and p / "b.txt", "line 1: invalid UTF-8"),
])  # fmt: skip
def test_what_is_no_text_is_refused(make: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        read_running_text(make(tmp_path))  # type: ignore[operator]


# ---- pieces


@pytest.mark.parametrize("kind", ["characters", "bytes", "bpe"])
def test_pieces_lose_nothing(kind: str) -> None:
    pieces = RunningPieces.learn([LINES], kind, 400)
    for text in (LINES, "cat\n\n the  dog", "\n", " 猫 "):
        assert pieces.decode_text(pieces.encode_text(text).tolist()) == text


@given(st.text(max_size=200))
@settings(max_examples=80, deadline=None)
def test_bytes_carry_every_text(text: str) -> None:
    pieces = RunningPieces.learn([LINES], "bytes", 0)
    ids = pieces.encode_text(text)
    assert len(ids) == len(text.encode()) and len(pieces) == 260
    assert pieces.decode_text(ids.tolist()) == text


def test_characters_are_single_and_strangers_unknown() -> None:
    pieces = RunningPieces.learn(["abca\n"], "characters", 0)
    assert len(pieces) == 4 + 4 and len(pieces.encode_text("cab")) == 3
    assert pieces.encode_text("az").tolist()[1] == 3


def test_a_special_tokens_spelling_is_text() -> None:
    pieces = RunningPieces.learn([LINES], "bytes", 0)
    assert pieces.decode_text(pieces.encode_text("a</s>b<pad>").tolist()) == "a</s>b<pad>"


# ---- windows


def task_of(n: int = 1000, length: int = 32) -> LanguageModelTask:
    ids = np.arange(n, dtype=np.int32) % 26 + 4
    return LanguageModelTask(ids, HeldOut(ids[:50], 50, 50), length, 4 * length, seed=3)


def test_an_epoch_reads_each_place_once_and_depends_on_seed_and_epoch_alone() -> None:
    task = task_of()
    first = task.plan(0)
    starts = np.sort(np.concatenate(first))
    assert (np.diff(starts) == 32).all() and starts[-1] + 32 <= 1000 and starts[0] < 32
    assert all(np.array_equal(a, b) for a, b in zip(first, task_of().plan(0), strict=True))
    assert not np.array_equal(np.concatenate(first), np.concatenate(task.plan(1)))


def test_a_window_is_read_one_behind_what_is_written() -> None:
    batch = window(np.array([[5, 6, 2, 7]]))
    assert batch.write.tolist() == [[5, 6, 2, 7]]
    assert batch.read.tolist() == [[1, 5, 6, 1]]  # after the end of a document stands the start of the next


def test_a_text_shorter_than_a_window_is_read_whole() -> None:
    task = task_of(n=10)
    (batch,) = task.plan(0)
    assert task.collate(batch, 0).write.shape == (1, 10) and task.weight(batch, 0) == 10


# ---- scores


@pytest.mark.parametrize(
    "n, length, stride", [(50, 16, 16), (50, 16, 8), (50, 16, 5), (9, 16, 8), (16, 16, 4), (33, 16, 16)]
)
def test_every_token_is_scored_once_with_enough_before_it(n: int, length: int, stride: int) -> None:
    """Against a loop over tokens that builds each context by hand."""
    model, ids = model_of().double(), np.random.default_rng(1).integers(4, 30, n).astype(np.int32)
    found = read(model, ids, length, stride)
    end = min(length, n)
    total, begin = 0.0, 0
    for place in range(n):
        if place >= end:
            end = min(end + stride, n)
            begin = end - length
        context = torch.tensor([[1, *ids[begin:place]]])
        total -= float(model(context)[0, -1].log_softmax(-1)[ids[place]])
    assert found.tokens == n and math.isclose(found.nll, total, rel_tol=1e-9)


def test_bits_do_not_depend_on_what_a_token_is() -> None:
    """A uniform model over 2 ** 8 bytes needs 8 bits a byte, whatever the text."""
    held_out = HeldOut.of(np.full(100, 5, np.int32), ["x" * 40 + "é" * 30])
    from allyouneed.tasks.language_model import Scores

    scores = Scores(100 * math.log(256), 100).per(held_out)
    assert math.isclose(scores["bits_per_byte"], 8.0) and math.isclose(scores["bits_per_character"], 8 * 100 / 70)
    assert math.isclose(scores["perplexity"], 256)


# ---- the command


@pytest.mark.skipif("gpt" not in CATALOGUE, reason="no language model yet")
def test_a_language_model_from_the_command_line(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "text.txt").write_text(LINES, encoding="utf-8")
    run = tmp_path / "run"
    small = "model.dim=16 model.heads=2 model.depth=1 data.length=32 data.batch_tokens=256 training.precision=float32"
    sets = [word for pair in small.split() for word in ("--set", pair)]
    command(
        "train", "language-model", "--data", str(tmp_path / "text.txt"), "--out", str(run), "--max-steps", "4", *sets
    )
    assert (run / "samples.txt").exists() and (run / "learning_curve.svg").exists()
    written = command("generate", str(run), "--prompt", "Line 3", "--length", "20").out
    assert written.startswith("Line 3") and len(written.strip()) > 6
    assert '"bits_per_byte"' in command("evaluate", str(run), "--split", "val", "--json").out
