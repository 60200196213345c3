"""Training from tokens on disk: the command, resuming to the bit, what is reused, and what is refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import ENVIRONMENT, SETTINGS, Command, bits, corpus, losses, sets, train_words, write_corpus

from allyouneed.data.subwords import Subwords
from allyouneed.errors import UserError
from allyouneed.recipes import translation, translation_disk
from allyouneed.recipes.folder import stored_settings
from allyouneed.recipes.job import Prepared, make_settings
from allyouneed.recipes.train import train
from allyouneed.training.progress import Silent

DISK = [*SETTINGS, "data.store=disk", "training.save_every=4", "training.validate_every=6"]


def prepared(folder: Path, *assignments: str, resuming: bool = False) -> Prepared:
    settings = make_settings(translation.KIND, "transformer", None, "default", [*DISK, *assignments])
    folder.mkdir(exist_ok=True)
    return translation.prepare(settings, folder, resuming)


def run(folder: Path, data: Path, steps: int, *assignments: str, resume: bool = False) -> Path:
    given = [f"training.max_steps={steps}"]
    given += [] if resume else [*DISK, f"data.path={data}", *assignments]
    train("translation", folder, assignments=given, resume=resume, reporter=Silent())
    return folder


@pytest.fixture
def tokenised(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many lines each call has encoded, of more lines than the validation set has."""
    calls: list[int] = []
    encode = Subwords.encode

    def counted(self: Subwords, lines: Any) -> list[list[int]]:
        calls.extend([len(lines)] if len(lines) > 12 else [])
        return encode(self, lines)

    monkeypatch.setattr(Subwords, "encode", counted)
    return calls


def test_every_pair_is_read_once_an_epoch(data: Path, tmp_path: Path) -> None:
    found = prepared(tmp_path / "run", f"data.path={data}")
    task, subwords = found.task, found.task.vocabulary.source
    for epoch in (0, 1):
        pairs = []
        for rows in task.plan(epoch):
            batch = task.collate(rows, epoch)
            cells = batch.source.numel() + batch.target_out.numel()
            assert cells <= 512 and task.weight(rows, epoch) == int((batch.target_out != 0).sum())
            assert task.tokens(rows, epoch) == int((batch.source != 0).sum()) + task.weight(rows, epoch)
            sides = (
                subwords.decode([[i for i in row if i > 2] for row in part.tolist()])
                for part in (batch.source, batch.target_in)
            )
            pairs += list(zip(*sides, strict=True))
        assert sorted(pairs) == sorted(zip(*corpus().train, strict=True))
    assert "240 training pairs" in found.notes[0] and any("BPE-dropout is off" in note for note in found.notes)
    batches = len(task.plan(0))
    cells = [sum(part.numel() for part in task.collate(rows, 0)[1:]) for rows in task.plan(0)]
    assert f"{batches} batches an epoch" in found.notes[-1] and len(cells) == batches


def test_the_note_of_padding_counts_cells(data: Path, tmp_path: Path) -> None:
    found = prepared(tmp_path / "run", f"data.path={data}")
    batches = [found.task.collate(rows, 0) for rows in found.task.plan(0)]
    cells = sum(batch.source.numel() + batch.target_out.numel() for batch in batches)
    real = sum(int((batch.source != 0).sum() + (batch.target_out != 0).sum()) for batch in batches)
    assert f", {1 - real / cells:.1%} of their cells" in found.notes[-1]


def test_the_subwords_and_tokens_are_those_of_memory(data: Path, tmp_path: Path) -> None:
    disk = prepared(tmp_path / "disk", f"data.path={data}").task
    memory = prepared(tmp_path / "memory", f"data.path={data}", "data.store=memory").task
    assert disk.vocabulary.target.tokenizer.to_str() == memory.vocabulary.target.tokenizer.to_str()
    for side in ("source", "target"):
        ours, theirs = (getattr(task.pairs.text(0), side) for task in (disk, memory))
        assert np.array_equal(ours.ids, theirs.ids) and np.array_equal(ours.offsets, theirs.offsets)


def test_a_resumed_run_is_the_same_to_the_bit_and_reads_its_tokens(
    data: Path, tmp_path: Path, tokenised: list[int]
) -> None:
    constant = "training.schedule=constant"
    whole = run(tmp_path / "whole", data, 30, constant)
    part = run(tmp_path / "part", data, 13, constant)
    tokenised.clear()
    run(part, data, 30, resume=True)
    assert tokenised == [], "the tokens of the run were there"
    ours, theirs = ([line for line in losses(one) if line["kind"] == "train"] for one in (part, whole))
    assert ours == theirs and ours[-1]["epoch"] >= 1
    for name in ("model", "state"):
        ours, theirs = (bits(one / f"checkpoints/step-00000030/{name}.safetensors") for one in (part, whole))
        assert ours == theirs
    assert stored_settings(part, translation.KIND).data.store == "disk"
    assert len(list((part / "tokens").glob("tokens-*"))) == 1


def test_it_learns(data: Path, tmp_path: Path) -> None:
    lines = [line for line in losses(run(tmp_path / "run", data, 60)) if line["kind"] == "dev"]
    assert lines[-1]["dev_nll"] < 0.9 * lines[0]["dev_nll"]


def test_runs_on_the_same_text_share_their_tokens(data: Path, tmp_path: Path, tokenised: list[int]) -> None:
    shared = f"data.store_path={tmp_path / 'tokens'}"
    run(tmp_path / "one", data, 2, shared)
    tokenised.clear()
    run(tmp_path / "two", data, 2, shared, "model.dim=32", "data.batch_tokens=256")
    assert tokenised == [] and not (tmp_path / "two" / "tokens").exists()
    run(tmp_path / "three", data, 2, shared, "data.max_length=20")
    assert tokenised == [240, 240] and len(list((tmp_path / "tokens").glob("tokens-*"))) == 2


def test_a_deleted_store_is_made_again(data: Path, tmp_path: Path, tokenised: list[int]) -> None:
    import shutil

    folder = run(tmp_path / "run", data, 4)
    shutil.rmtree(folder / "tokens")
    tokenised.clear()
    run(folder, data, 8, resume=True)
    assert tokenised == [240, 240] and losses(folder)[-1]["step"] == 8


def spoilt(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content + (folder / name).read_text().partition("\n")[2])


@pytest.mark.parametrize("name", ["train.de", "val.en"])
def test_other_data_are_refused_on_resuming(tmp_path: Path, name: str) -> None:
    data = write_corpus(tmp_path / "text")
    folder = run(tmp_path / "run", data, 4)
    spoilt(name, "Etwas anderes.\n")(data)
    with pytest.raises(UserError, match="the data is not that with which"):
        run(folder, data, 8, resume=True)


def test_auto_takes_the_disk_for_a_large_text(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"data.path={data}", "data.store=auto"]
    assert prepared(tmp_path / "small", *words, "data.bpe_dropout=0.1").settings.data.store == "memory"
    monkeypatch.setattr(translation_disk, "LARGE", 1000)
    plain = ["data.bpe_dropout=null"]
    assert prepared(tmp_path / "large", *words, *plain).settings.data.store == "disk"
    assert prepared(tmp_path / "memory", *words, *plain, "data.store=memory").settings.data.store == "memory"
    assert prepared(tmp_path / "grammar", "data.store=auto", "data.max_sentences=50").settings.data.store == "memory"
    with pytest.raises(UserError, match=r"bpe_dropout=0\.1 spells the words anew"):
        prepared(tmp_path / "dropout", *words, "data.bpe_dropout=0.1")


def test_subwords_of_a_large_text_are_learnt_from_a_part(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translation_disk, "VOCABULARY_PAIRS", 100)
    found = prepared(tmp_path / "run", f"data.path={data}")
    assert found.notes[0] == "the subwords are learnt from 80 pairs, evenly drawn"
    text = corpus().train
    expected = Subwords.train([*text.source[::3], *text.target[::3]], "bpe", 300)
    assert found.task.vocabulary.source.tokenizer.to_str() == expected.tokenizer.to_str()


def test_separate_vocabularies(data: Path, tmp_path: Path) -> None:
    found = prepared(tmp_path / "run", f"data.path={data}", "data.joint=false")
    source, target = found.task.vocabulary
    rows = found.task.plan(0)[0]
    decoded = target.decode([[i for i in row if i > 2] for row in found.task.collate(rows, 0).target_in.tolist()])
    assert source is not target and decoded == [corpus().train.target[row] for row in rows]


def test_what_is_refused(command: Command, data: Path, tmp_path: Path) -> None:
    def refusal(*words: str) -> str:
        return command.refuses("train", "translation", "--out", tmp_path / "x", "--max-steps", 2, *sets(*words))

    assert "data.store=disk reads a folder" in refusal("data.store=disk")
    dropout = refusal("data.store=disk", "data.bpe_dropout=0.1", f"data.path={data}")
    assert "bpe_dropout=0.1 spells the words anew" in dropout and "data" in dropout
    (tmp_path / "one.tsv").write_text("a\tb\n" * 30)
    assert "is one file" in refusal("data.store=disk", f"data.path={tmp_path / 'one.tsv'}")
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_two_ranks_read_what_one_reads(data: Path, tmp_path: Path) -> None:
    words = sets("data.store=disk", "model.dropout=0", "training.eps=1e-6")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "allyouneed"]
    one, two = tmp_path / "one", tmp_path / "two"
    for start, folder, more in ((["-m", "allyouneed"], one, sets("training.accumulate=2")), (launch, two, [])):
        command = [sys.executable, *start, *train_words(data, folder, *words, "--max-steps", "8"), *more]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("their tokens stay on disk") == 1  # one rank speaks
        assert len(list((folder / "tokens").glob("tokens-*"))) == 1
    ours, theirs = ([line["loss"] for line in losses(folder) if line["kind"] == "train"] for folder in (one, two))
    assert ours == pytest.approx(theirs, rel=2e-5) and len(ours) == 8
    assert json.loads((one / "data.json").read_text()) == json.loads((two / "data.json").read_text())
