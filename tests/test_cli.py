"""The command line: what it answers, and that wrong input gets one sentence and exit code 2."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import ENVIRONMENT, SETTINGS, Command, corpus, sets, train_words

from allyouneed import load
from allyouneed.settings import override
from allyouneed.training import checkpoint


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps, by the command itself: what `python -m allyouneed` prints goes to standard error alone."""
    folder = tmp_path_factory.mktemp("runs") / "a run"
    words = train_words(data, folder, "--max-steps", "20", "--seed", "3", "--set", "training.save_every=10")
    done = subprocess.run([sys.executable, "-m", "allyouneed", *words], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and "240 training pairs, 12 for validation" in done.stderr and "ended after" in done.stderr
    return folder


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """The same run, to be spoilt."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


def python(code: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=ENVIRONMENT)


# ---- help


@pytest.mark.parametrize("words", [[], ["train"], ["translate"], ["evaluate"], ["data", "check"], ["check"], ["demo"],
                                   ["explore"], ["picture"]])  # fmt: skip
def test_help_answers_without_torch(words: list[str]) -> None:
    code = (
        "import sys; sys.argv[1:] = sys.argv[1:] + ['--help']\nfrom allyouneed import cli\n"
        "try: cli.main()\nexcept SystemExit as end: assert not end.code\n"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    done = python(code, *words)
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout and "--help" in done.stdout


def test_the_help_of_training_explains_every_setting(command: Command) -> None:
    code, out, _ = command("train", "translation", "--help")
    assert code == 0
    for word in ("--max-time", "--resume", "model.dim", "training.save_every", "data.bpe_dropout", "decoding.beam"):
        assert word in out


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "allyouneed", "nonsense"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: No such command 'nonsense'") and done.stderr.count("\n") == 1


# ---- training: wrong words


def none(_: Path) -> list[str]:
    return []


def missing_folder(data: Path) -> list[str]:
    return ["--data", str(data / "nowhere")]


def empty_folder(data: Path) -> list[str]:
    (data / "empty").mkdir()
    return ["--data", str(data / "empty")]


def line_counts(data: Path) -> list[str]:
    (data / "train.de").write_text("eins\nzwei\ndrei\n")
    (data / "train.en").write_text("one\ntwo\n")
    return []


def binary(data: Path) -> list[str]:
    (data / "train.de").write_bytes(b"eins\n\x00\x01\x02\nzwei\n")
    return []


def not_utf8(data: Path) -> list[str]:
    lines = (data / "train.en").read_bytes().splitlines()
    (data / "train.en").write_bytes(b"\n".join([*lines[:6], b"caf\xe9", *lines[7:]]) + b"\n")
    return []


def not_gzip(data: Path) -> list[str]:
    (data / "val.de").rename(data / "val.de.gz")
    return []


def truncated_gzip(data: Path) -> list[str]:
    (data / "train.de.gz").write_bytes(gzip.compress((data / "train.de").read_bytes())[:-20])
    (data / "train.de").unlink()
    return []


def no_val_on_one_side(data: Path) -> list[str]:
    (data / "val.en").unlink()
    return []


def only_long(data: Path) -> list[str]:
    return sets("data.max_length=1")


def words(*given: str) -> Callable[[Path], list[str]]:
    return lambda _: list(given)


@pytest.mark.parametrize(
    "fault, expected",
    [
        (missing_folder, ["nowhere does not exist", "train.SRC"]),
        (empty_folder, ["empty is empty", "train.SRC"]),
        (line_counts, ["train.de has 3 lines", "train.en has 2", "from line 3 on"]),
        (binary, ["train.de is a binary file", "line 2"]),
        (not_utf8, ["train.en, line 7: invalid UTF-8", "0xe9"]),
        (not_gzip, ["val.de.gz is not a gzip file"]),
        (truncated_gzip, ["train.de.gz", "truncated gzip"]),
        (no_val_on_one_side, ["no val.en", "val.de"]),
        (only_long, ["no training pair is left", "data.max_length=1"]),
        (words("--src", "fr"), ["train.fr", "de, en"]),
        (words("--src", "de", "--tgt", "de"), ["both 'de'"]),
        (words("--set", "model.dimm=64"), ["unknown setting 'model.dimm'", "did you mean 'model.dim'"]),
        (words("--set", "dim=64"), ["unknown setting 'dim'", "'model.dim'"]),
        (words("--set", "model.dim"), ["key=value", "'model.dim'"]),
        (words("--set", "model=3"), ["'model' is a group"]),
        (words("--set", "model.dim=wide"), ["model.dim=wide is not allowed", "whole number >= 2"]),
        (words("--set", "model.dropout=1.5"), ["model.dropout=1.5", ">= 0 and < 1"]),
        (words("--set", "training.precision=float8"), ["training.precision", "auto, bfloat16, float32"]),
        (words("--set", "model.heads=3"), ["dim 16 is not divisible by heads 3"]),
        (words("--set", "training.average_last=9"), ["average_last=9", "keep_checkpoints=5"]),
        (words("--set", "model.positions=learned", "--set", "model.positions_length=6"), ["positions_length=6"]),
        (words("--set", "data.subwords=unigram", "--set", "data.bpe_dropout=0.1"), ["data.bpe_dropout"]),
        (words("--set", "data.joint=false", "--set", "model.tie=all", "--set", "data.vocab_size=3"), ["vocab_size=3"]),
        (words("--max-time", "soon"), ["'soon' is not a length of time", "40m"]),
        (words("--max-time", "-3m"), ["not a length of time"]),
        (words("--max-steps", "0"), ["--max-steps", "greater than or equal to 1"]),
        (words("--max-steps", "ten"), ["--max-steps", "integer"]),
        (words("--seed", "-1"), ["--seed"]),
        (words("--preset", "huge"), ["no preset 'huge'", "small", "paper-base"]),
        (words("--model", "transfomer"), ["no model 'transfomer' for translation", "transformer"]),
        (words("--recipe", "cooking"), ["no recipe 'cooking'", "demo"]),
        (words("--steps", "3"), ["--steps"]),
        (words("--resume"), ["is not a run", "config.yaml"]),
    ],
    ids=lambda value: getattr(value, "__name__", None) if callable(value) else value[0][:30],
)
def test_training_refuses(fault: Callable[[Path], list[str]], expected: list[str], command: Command, data: Path,
                          tmp_path: Path) -> None:  # fmt: skip
    text, out = Path(shutil.copytree(data, tmp_path / "text")), tmp_path / "run"
    sentence = command.refuses(*train_words(text, out, "--max-steps", "2"), *fault(text))
    assert all(word in sentence for word in expected), sentence
    assert not out.exists()


def test_a_word_that_was_not_asked_for_an_option_without_its_value(command: Command) -> None:
    assert "--out" in command.refuses("train", "translation")
    assert "--out" in command.refuses("train", "translation", "--out")
    assert "surplus" in command.refuses("check", "surplus")


def test_an_empty_training_file(command: Command, data: Path, tmp_path: Path) -> None:
    text = Path(shutil.copytree(data, tmp_path / "text"))
    for name in ("train.de", "train.en"):
        (text / name).write_text("")
    assert "have no lines" in command.refuses(*train_words(text, tmp_path / "run"))


def test_a_folder_that_holds_a_run_is_not_overwritten(command: Command, copy: Path, data: Path) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    sentence = command.refuses(*train_words(data, copy, "--max-steps", "2"))
    assert "already holds a run" in sentence and "--resume" in sentence and "--out" in sentence
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_an_out_that_is_a_file_or_lies_under_one(command: Command, data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        assert "cannot be made" in command.refuses(*train_words(data, out, "--max-steps", "2"))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("moment", ["checkpoint.os.fsync", "tokenizer"])
def test_a_full_disk_is_one_sentence(
    moment: str, command: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    if moment == "tokenizer":
        monkeypatch.setattr(checkpoint, "_write", full)
    else:
        monkeypatch.setattr(checkpoint.os, "fsync", full)
    assert "no space left" in command.refuses(*train_words(data, tmp_path / "run", "--max-steps", "2"))
    assert not (tmp_path / "run" / "config.yaml").exists()


# ---- resuming: wrong words


@pytest.mark.parametrize(
    "given, expected",
    [
        (["--set", "model.dim=32"], ["model.dim (was 16, now 32)", "new run"]),
        (["--set", "training.learning_rate=0.5"], ["training.learning_rate (was 0.01, now 0.5)"]),
        (["--seed", "4"], ["training.seed (was 3, now 4)"]),
        (["--src", "en"], ["data.src"]),
        (["--preset", "tiny"], ["model.dim (was 16, now 128)"]),
        (["--recipe", "demo"], ["data.vocab_size"]),
        (["--model", "perceiver"], ["--model transformer", "perceiver"]),
        (["--set", "model.width=3"], ["unknown setting"]),
    ],
    ids=lambda value: value[-1],
)
def test_resuming_with_changed_settings(given: list[str], expected: list[str], command: Command, copy: Path) -> None:
    sentence = command.refuses("train", "translation", "--out", copy, "--resume", *given)
    assert all(word in sentence for word in expected), sentence


def test_resuming_with_other_data(command: Command, copy: Path, data: Path, tmp_path: Path) -> None:
    text = Path(shutil.copytree(data, tmp_path / "text"))
    same = command("train", "translation", "--out", copy, "--resume", "--data", text)
    assert same.code == 0 and "ended already" in same.err  # moved, and the same
    with (text / "train.de").open("a") as de, (text / "train.en").open("a") as en:
        de.write("Neu.\n"), en.write("New.\n")
    sentence = command.refuses("train", "translation", "--out", copy, "--resume", "--data", text)
    assert "the data is not that with which" in sentence and "241" in sentence and "240" in sentence


def test_the_same_words_again_with_resume_are_accepted(command: Command, copy: Path, data: Path) -> None:
    words = train_words(data, copy, "--max-steps", "20", "--seed", "3", "--set", "training.save_every=10", "--resume")
    code, _, err = command(*words)
    assert code == 0 and "this run has ended already, after 20 steps" in err


# ---- runs that are none


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def foreign(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))


def gone(path: Path) -> None:
    path.unlink()


def of_another_model(path: Path) -> None:
    checkpoint.save_tensors(path, {name: t[..., :1].clone() for name, t in checkpoint.load_tensors(path).items()})


def of_another_system(path: Path) -> None:
    tensors = checkpoint.load_tensors(path)
    checkpoint.save_tensors(path, {"other." + name: tensor for name, tensor in tensors.items()})


def smaller_tokenizer(path: Path) -> None:
    from allyouneed.data.subwords import Subwords

    Subwords.train(["ein Satz", "one sentence"], vocab_size=270).save(path)


def foreign_tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")).save(str(path))


def other_yaml(path: Path) -> None:
    path.write_text("learning: 3\nnames: [a, b]\n")


def unknown_key(path: Path) -> None:
    path.write_text(path.read_text().replace("dim:", "dimm:", 1))


def unknown_system(path: Path) -> None:
    path.write_text(path.read_text().replace("system: transformer", "system: perceiver", 1))


@pytest.mark.parametrize(
    "name, fault, expected",
    [
        ("model.safetensors", gone, ["holds no model.safetensors"]),
        ("model.safetensors", cut, ["model.safetensors is truncated"]),
        ("model.safetensors", foreign, ["model.safetensors is truncated or is not"]),
        ("model.safetensors", of_another_model, ["does not fit the model", "config.yaml"]),
        ("model.safetensors", of_another_system, ["does not fit the model"]),
        ("tokenizer.json", gone, ["no tokenizer.json"]),
        ("tokenizer.json", cut, ["tokenizer.json is not a readable tokenizer"]),
        ("tokenizer.json", foreign, ["tokenizer.json is not a readable tokenizer"]),
        ("tokenizer.json", smaller_tokenizer, ["tokenizer", "another run's"]),
        ("tokenizer.json", foreign_tokenizer, ["tokenizer has no <pad>"]),
        ("config.yaml", gone, ["is not a run", "config.yaml"]),
        ("config.yaml", cut, ["config.yaml", "restore it from a copy"]),
        ("config.yaml", foreign, ["config.yaml"]),
        ("config.yaml", other_yaml, ["config.yaml is cut short or foreign"]),
        ("config.yaml", unknown_key, ["config.yaml", "did you mean", "model.dim"]),
        ("config.yaml", unknown_system, ["config.yaml", "perceiver"]),
    ],
)
def test_spoilt_runs_are_refused(
    name: str, fault: Callable[[Path], None], expected: list[str], command: Command, copy: Path, tmp_path: Path
) -> None:
    fault(copy / name)
    output = tmp_path / "translated"
    sentence = command.refuses("translate", copy, "--output", output, stdin=b"Hallo\n")
    assert all(word in sentence for word in expected), sentence
    assert not output.exists()
    assert command.refuses("evaluate", copy, "--json") == sentence


def test_folders_that_are_no_runs(command: Command, tmp_path: Path, data: Path) -> None:
    assert "there is no run folder" in command.refuses("translate", tmp_path / "nowhere")
    assert "is not a run" in command.refuses("translate", data)
    assert "is not a run" in command.refuses("evaluate", tmp_path)


@pytest.mark.parametrize("name", ["data.json", "tokenizer.json", "config.yaml"])
@pytest.mark.parametrize("fault", [gone, cut, foreign], ids=lambda fault: fault.__name__)
def test_resuming_a_spoilt_run(name: str, fault: Callable[[Path], None], command: Command, copy: Path) -> None:
    fault(copy / name)
    sentence = command.refuses("train", "translation", "--out", copy, "--resume", "--max-steps", "22")
    assert name in sentence


# ---- translate


LINES = [
    "Der Arzt kauft ein Buch.",
    "",
    "Anna sieht den Park.",
    "   ",
    "Anna sieht den Park.",
    "Ein zwei drei vier fünf.",
]


def text(lines: list[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode()


def test_lines_in_lines_out(command: Command, run: Path, tmp_path: Path) -> None:
    code, out, err = command("translate", run, stdin=text(LINES))
    lines = out.split("\n")
    assert code == 0 and len(lines) == len(LINES) + 1 and lines[-1] == "" and "error" not in err
    assert [not line for line in lines[:-1]] == [not line.strip() for line in LINES] and lines[2] == lines[4]
    (tmp_path / "in.txt").write_bytes(text(LINES).rstrip(b"\n"))
    assert command("translate", run, tmp_path / "in.txt").out == out
    (tmp_path / "in.txt.gz").write_bytes(gzip.compress(text(LINES).replace(b"\n", b"\r\n")))
    assert command("translate", run, tmp_path / "in.txt.gz").out == out
    assert command("translate", run, stdin=b"\xef\xbb\xbf" + text(LINES)).out == out
    assert command("translate", run, stdin=text(LINES[::-1])).out.split("\n") == [*lines[-2::-1], ""]
    assert load(run).translate(LINES) == lines[:-1]


def test_output_goes_to_a_file(command: Command, run: Path, tmp_path: Path) -> None:
    expected = command("translate", run, stdin=text(LINES)).out
    code, out, _ = command("translate", run, "--output", tmp_path / "out.txt", stdin=text(LINES))
    assert (code, out) == (0, "") and (tmp_path / "out.txt").read_text(encoding="utf-8") == expected
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE, text=True)
    assert command("translate", run, "--output", tmp_path / "pipe", stdin=text(LINES)).code == 0
    assert reader.communicate(timeout=30)[0] == expected and (tmp_path / "pipe").is_fifo()


def test_empty_input(command: Command, run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    assert command("translate", run, tmp_path / "empty")[:2] == (0, "")
    assert command("translate", run, stdin=b"")[:2] == (0, "")
    assert command("translate", run, stdin=b"\n\n")[:2] == (0, "\n\n")


def test_n_best_with_scores(command: Command, run: Path) -> None:
    code, out, _ = command("translate", run, "--n-best", "3", "--scores", stdin=text(LINES[:3]))
    rows = [row.split("\t") for row in out.splitlines()]
    assert code == 0 and [row[0] for row in rows] == ["1"] * 3 + ["3"] * 3
    for part in (rows[:3], rows[3:]):
        scores = [float(row[1]) for row in part]
        assert scores == sorted(scores, reverse=True) and len({row[2] for row in part}) == 3
    single = command("translate", run, "--scores", "--beam", "3", stdin=text(LINES[:3])).out.splitlines()
    assert single[0].split("\t") == rows[0][1:] and single[1].endswith("\t")
    unnumbered = command("translate", run, "--n-best", "2", stdin=text(LINES[:1])).out.splitlines()
    assert [line.split("\t")[0] for line in unnumbered] == ["1", "1"]


def test_beam_and_penalty_reach_the_search(command: Command, run: Path) -> None:
    t = load(run)
    for words, options in (
        (["--beam", "1"], {"beam": 1}),
        (["--beam", "4", "--length-penalty", "0"], {"beam": 4, "length_penalty": 0.0}),
        (["--length-penalty", "3"], {"length_penalty": 3.0}),
    ):
        _, out, _ = command("translate", run, *words, "--scores", stdin=text(LINES[:1]))
        best = t.n_best(LINES[:1], 1, **options)[0][0]
        assert out == f"{best.score:.4f}\t{best.text}\n"


def test_every_translation_begins_with_the_prefix(command: Command, run: Path) -> None:
    code, out, _ = command("translate", run, "--prefix", "the doctor", stdin=text(LINES))
    lines = out.split("\n")
    assert code == 0 and [line.startswith("the doctor") for line in lines[:-1]] == [bool(x.strip()) for x in LINES]


def test_a_sentence_without_end_is_refused_before_anything_is_translated(
    command: Command, run: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    for long in ("a" * 100_000, "wort " * 20_000):
        sentence = command.refuses("translate", run, "--output", output, stdin=text([*LINES, long]))
        assert "line 7 has 100,000 characters" in sentence and "decoding.max_source=1,024" in sentence
        assert not output.exists()
    from allyouneed.errors import UserError

    with pytest.raises(UserError, match="line 2 "):
        load(run).translate(["kurz", "x " * 3000])


def test_translate_refuses(command: Command, run: Path, tmp_path: Path) -> None:
    assert "standard input, line 2: invalid UTF-8" in command.refuses("translate", run, stdin=b"gut\nschlecht\xff\n")
    assert "binary" in command.refuses("translate", run, stdin=b"gut\n\x00\n")
    (tmp_path / "latin").write_bytes("gut\ngut\nschön\n".encode("latin-1"))
    assert "latin, line 3" in command.refuses("translate", run, tmp_path / "latin")
    assert "nowhere cannot be read" in command.refuses("translate", run, tmp_path / "nowhere")
    assert "cannot be read" in command.refuses("translate", run, tmp_path)
    assert "--beam" in command.refuses("translate", run, "--beam", "0")
    assert "decoding.beam=500" in command.refuses("translate", run, "--beam", "500", stdin=b"a\n")
    assert "decoding.length_penalty=-1" in command.refuses("translate", run, "--length-penalty", "-1")
    assert "--n-best" in command.refuses("translate", run, "--n-best", "0")
    assert "--n-best" in command.refuses("translate", run, "--n-best", "300", stdin=b"a\n")


def test_an_output_that_cannot_be_written_is_told_before_the_work(command: Command, run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path, tmp_path / "nowhere" / "out", tmp_path / "file" / "out"):
        for words in (["translate", run], ["evaluate", run]):
            sentence = command.refuses(*words, "--output", output, stdin=text(LINES))
            assert str(output) in sentence and "--output" in sentence
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_reader_that_goes_away_is_no_crash(run: Path) -> None:
    translate = f"{sys.executable} -m allyouneed translate '{run}'"
    done = subprocess.run(
        f"yes 'Anna sieht den Park.' | head -n 3 | {translate} | true", shell=True, text=True, capture_output=True,
        env=ENVIRONMENT,
    )  # fmt: skip
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


# ---- evaluate


KEYS = {
    "bleu", "bleu_low", "bleu_high", "bleu_lc", "chrf", "signature", "chrf_signature", "exact_match", "sentences", "split",
    "beam", "length_penalty",
}  # fmt: skip


def test_evaluate_prints_one_object(command: Command, run: Path, data: Path, tmp_path: Path) -> None:
    code, out, _ = command("evaluate", run, "--data", data, "--split", "test", "--json", "--output", tmp_path / "hyp")
    scores = json.loads(out)
    assert code == 0 and set(scores) == KEYS and out.count("\n") == 1
    assert scores["sentences"] == 12 and scores["beam"] == 2 and "tok:13a" in scores["signature"]
    assert scores["bleu_low"] <= scores["bleu_high"] and 0 <= scores["chrf"] <= 100
    assert (tmp_path / "hyp").read_text().splitlines() == load(run).translate(corpus().tests["test"].source)
    assert json.loads(command("evaluate", run, "--json", "--beam", "1").out)["beam"] == 1  # the run knows its data
    code, table, _ = command("evaluate", run, "--split", "val")
    assert code == 0 and table.startswith("BLEU ") and "chrF" in table and "12 sentences" in table


def test_evaluate_reads_a_split_by_its_prefix(command: Command, run: Path, data: Path, tmp_path: Path) -> None:
    for language in ("de", "en"):
        content = (data / f"test.{language}").read_bytes()
        (tmp_path / f"news_2020.{language}.gz").write_bytes(gzip.compress(b"".join(content.splitlines(True)[:4])))
    found = json.loads(command("evaluate", run, "--data", tmp_path, "--split", "news_2020", "--json").out)
    assert found["sentences"] == 4 and found["split"] == "news_2020"


def test_evaluate_warns_of_what_it_cuts(command: Command, run: Path, tmp_path: Path) -> None:
    (tmp_path / "test.de").write_text("Anna sieht den Park.\n" + "Park " * 1200 + "\n")
    (tmp_path / "test.en").write_text("Anna sees the park.\npark\n")
    code, out, err = command("evaluate", run, "--data", tmp_path, "--json")
    assert code == 0 and json.loads(out)["sentences"] == 2
    assert "warning:" in err and "lines 2" in err and "decoding.max_source=1,024" in err


def test_evaluate_refuses(command: Command, run: Path, data: Path, tmp_path: Path) -> None:
    assert "no test_2030.de" in command.refuses("evaluate", run, "--split", "test_2030")
    assert "nowhere does not exist" in command.refuses("evaluate", run, "--data", tmp_path / "nowhere")
    assert "fr" in command.refuses("evaluate", run, "--src", "fr")
    (tmp_path / "test.de").write_text("eins\nzwei\n")
    (tmp_path / "test.en").write_text("one\n")
    assert "from line 2 on" in command.refuses("evaluate", run, "--data", tmp_path)


# ---- the rest


def test_models(command: Command) -> None:
    code, out, _ = command("models", "--json")
    rows = json.loads(out)
    assert code == 0 and rows[0]["name"] == "transformer"
    assert set(rows[0]) == {"name", "paper", "url", "adds", "task", "tasks", "orders", "parameters", "parity"}
    assert rows[0]["parameters"]["paper-base"] == pytest.approx(65e6, rel=0.04)
    code, out, _ = command("models")
    assert code == 0 and "transformer" in out


def test_data_check_exit_codes(command: Command, data: Path, tmp_path: Path) -> None:
    assert command("data", "check", data, "--src", "de", "--tgt", "en").code == 0
    text = Path(shutil.copytree(data, tmp_path / "text"))
    with (text / "train.de").open("a") as file:
        file.write("Eine Zeile zu viel.\n")
    code, out, _ = command("data", "check", text, "--src", "de", "--tgt", "en")
    assert code == 1 and "241" in out
    assert "nowhere" in command.refuses("data", "check", tmp_path / "nowhere")


def test_the_embedded_grammar_without_data_and_with_short_settings(command: Command, tmp_path: Path) -> None:
    words = ["--max-steps", "2", *sets(*SETTINGS, "data.max_sentences=40", "data.pair=zh-en", "decoding.beam=1")]
    code, _, err = command("train", "translation", "--out", tmp_path / "run", *words)
    assert code == 0 and "40 training pairs" in err
    assert load(tmp_path / "run").settings.data.pair == "zh-en"
    assert "no split" in command.refuses("evaluate", tmp_path / "run", "--split", "tests")


def test_the_settings_of_a_run_are_those_that_were_asked_for(run: Path) -> None:
    settings = load(run).settings
    changed = override(settings, SETTINGS)
    assert changed.model_copy(update={"model": settings.model}) == changed
    assert (settings.training.max_steps, settings.training.seed, settings.model.dim) == (20, 3, 16)
    assert json.loads((run / "data.json").read_text())["source"] == "de"
    assert {path.name for path in run.iterdir()} >= {
        "config.yaml", "data.json", "tokenizer.json", "model.safetensors", "metrics.jsonl", "checkpoints", "tensorboard",
    }  # fmt: skip
