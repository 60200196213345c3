"""Reading parallel text: what is read, how it is split, and one sentence for each thing that is wrong."""

import gzip
from pathlib import Path

import pytest

from allyouneed.data.parallel import Corpus, read_corpus, read_split
from allyouneed.data.splits import assign_splits, sentence_key
from allyouneed.errors import UserError

SHARED = Path(__file__).parents[2] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is absent")


def write(folder: Path, **files: str) -> Path:
    """``train_de="a\\n"`` writes train.de; a name that ends in _gz is compressed."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        if name.endswith("_gz"):
            path = folder / (".".join(name.removesuffix("_gz").rsplit("_", 1)) + ".gz")
            path.write_bytes(gzip.compress(text.encode(), mtime=0))
        else:
            (folder / ".".join(name.rsplit("_", 1))).write_bytes(text.encode())
    return folder


def numbered(word: str, count: int) -> str:
    return "".join(f"{word} {i}\n" for i in range(count))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = {"train": 6, "val": 2, "test_2016": 3}
    files = {f"{name}_{side}": numbered(side, count) for name, count in texts.items() for side in ("de", "en")}
    return write(tmp_path / "data", **files)


def fault(*arguments: object, **options: object) -> str:
    with pytest.raises(UserError) as caught:
        read_corpus(*arguments, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def test_a_folder_is_read_with_its_languages_and_tests(folder: Path) -> None:
    corpus = read_corpus(folder)
    assert isinstance(corpus, Corpus) and corpus[3:] == ("de", "en")
    assert corpus.train.source[5] == "de 5" and corpus.train.target[5] == "en 5"
    assert [len(corpus.val.source), *map(len, corpus.tests["test_2016"])] == [2, 3, 3]
    assert list(corpus.tests) == ["test_2016"]
    assert read_corpus(folder, "en", "de").train.source[0] == "en 0"
    assert read_corpus(folder, target="de")[3:] == ("en", "de")


@pytest.mark.parametrize("name", ["dev", "valid"])
def test_dev_and_valid_serve_for_val(folder: Path, name: str) -> None:
    for side in ("de", "en"):
        (folder / f"val.{side}").rename(folder / f"{name}.{side}")
    corpus = read_corpus(folder)
    assert len(corpus.val.source) == 2 and list(corpus.tests) == ["test_2016"]
    for split in ("val", "dev", "valid"):
        assert read_split(folder, split) == corpus.val


def test_gz_and_a_test_set_named_otherwise_are_read(folder: Path) -> None:
    write(folder, newstest_de_gz="x\n", newstest_en_gz="y\n", train_extra_de="a\n", train_extra_en="b\n")
    corpus = read_corpus(folder)
    assert list(corpus.tests) == ["newstest", "test_2016"]
    assert read_split(folder, "newstest", "de", "en") == (["x"], ["y"])
    assert read_split(folder, "train_extra") == (["a"], ["b"])
    assert read_split(folder, "train") == corpus.train


def test_only_the_line_feed_ends_a_line(tmp_path: Path) -> None:
    text = "\ufeffone\u2028still one\x85 \x0c\r\n\n two \nthree"
    corpus = read_corpus(write(tmp_path, train_de=text, train_en="a\nb\nc\nd", val_de="e\n", val_en="f\n"))
    assert corpus.train.source == ["one\u2028still one\x85 \x0c", "", " two ", "three"]


def test_val_is_split_off_train_by_distinct_source(tmp_path: Path) -> None:
    source = "".join(f"satz {i % 100}\n" for i in range(200))
    write(tmp_path, train_de=source, train_en=numbered("en", 200))
    corpus = read_corpus(tmp_path, seed=3)
    assert 10 <= len(corpus.val.source) <= 12 and len(corpus.train.source) + len(corpus.val.source) == 200
    assert not set(corpus.train.source) & set(corpus.val.source)
    assert read_corpus(tmp_path, seed=3) == corpus and read_corpus(tmp_path, seed=4) != corpus
    assert read_split(tmp_path, "dev", seed=3) == corpus.val
    assert read_split(tmp_path, "train", seed=3) == corpus.train


def test_neither_source_nor_target_is_in_two_splits() -> None:
    source = [f"s{i // 3}" for i in range(300)]
    target = [f"T{i // 2}" if i % 7 else f" t{i // 2}" for i in range(300)]
    target[100] = source[100] = ""
    broken = [f"{i // 10} {text}" for i, text in enumerate(target)]  # at most ten pairs hang together
    broken_source = [f"{i // 10} {text}" for i, text in enumerate(source)]
    parts = assign_splits(broken_source, broken, 3, seed=1)
    for side in (broken_source, broken):
        for text in set(map(sentence_key, side)):
            assert len({part for part, other in zip(parts, side, strict=True) if sentence_key(other) == text}) == 1
    assert min(parts.count(1), parts.count(2)) >= 15


def test_the_order_of_lines_does_not_change_the_split() -> None:
    source, target = [f"s{i}" for i in range(50)], [f"t{i // 2}" for i in range(50)]
    forward = assign_splits(source, target, 3, seed=1)
    assert assign_splits(source[::-1], target[::-1], 3, seed=1)[::-1] == forward


def test_one_target_for_all_is_split_by_source() -> None:
    parts = assign_splits([f"s{i}" for i in range(100)], ["t"] * 100, 3, seed=1)
    assert [parts.count(part) for part in range(3)] == [90, 5, 5]


def test_missing_empty_or_foreign_folder(tmp_path: Path) -> None:
    assert "does not exist" in fault(tmp_path / "no") and "train.SRC" in fault(tmp_path / "no")
    assert "is empty" in fault(tmp_path) and "train.SRC" in fault(tmp_path)
    write(tmp_path, notes_txt="x")
    assert "notes.txt" in fault(tmp_path, "de", "en")
    assert "no table by its name" in fault(write(tmp_path, a_md="x") / "a.md", "de", "en")


def test_languages_that_are_not_there_or_not_clear(folder: Path) -> None:
    assert "no train.fr" in fault(folder, "fr", "en") and "de, en" in fault(folder, "fr", "en")
    assert "both 'de'" in fault(folder, "de", "de")
    write(folder, train_fr=numbered("fr", 6))
    assert "de-en, de-fr, en-fr" in fault(folder) and "--src and --tgt" in fault(folder)
    assert "val.fr" in fault(folder, "de", "fr")
    (folder / "train.fr").unlink()
    (folder / "train.de").unlink()
    assert "one language only (en)" in fault(folder)


def test_different_line_counts_are_told_with_the_first_line_alone(folder: Path) -> None:
    with (folder / "train.en").open("a") as file:
        file.write("more\nand more\n")
    message = fault(folder)
    assert "train.de has 6 lines" in message and "train.en has 8" in message and "line 7" in message


def test_a_split_without_lines(folder: Path) -> None:
    write(folder, train_de="", train_en="")
    assert "train.de" in fault(folder) and "no lines" in fault(folder)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train.de", b"a\nb\0c\n", ["train.de is a binary file", "line 2"]),
        ("train.de", b"a\nb\nf\xfcr\n", ["train.de, line 3", "invalid UTF-8", "0xfc"]),
        ("train.de", "ä\n".encode("utf-16"), ["UTF-16"]),
        ("train.de", gzip.compress(b"a\n", mtime=0), ["rename it to train.de.gz"]),
        ("train.de.gz", b"plain\n", ["train.de.gz is not a gzip file"]),
        ("train.de.gz", gzip.compress(b"ab" * 5000, mtime=0)[:-12], ["train.de.gz", "truncated"]),
        ("train.de.gz", gzip.compress(b"ab" * 5000, mtime=0)[:12] + b"\xff" * 30, ["train.de.gz", "damaged"]),
    ],
)
def test_content_that_is_no_text(folder: Path, name: str, content: bytes, words: list[str]) -> None:
    (folder / "train.de").unlink()
    (folder / name).write_bytes(content)
    message = fault(folder, "de", "en")
    assert all(word in message for word in words), message


def test_a_folder_with_test_sets_only_can_be_evaluated_on(tmp_path: Path) -> None:
    write(tmp_path, test_de="a\n", test_en="b\n", dev_de="c\n", dev_en="d\n")
    assert read_split(tmp_path, "test") == (["a"], ["b"])
    assert read_split(tmp_path, "val", "en", "de") == (["d"], ["c"])


def test_a_split_that_is_not_there_names_those_that_are(folder: Path) -> None:
    with pytest.raises(UserError, match="test_2016, train, val"):
        read_split(folder, "test_2017", "de", "en")


@needs_shared
def test_multi30k() -> None:
    corpus = read_corpus(SHARED / "multi30k", "de", "en")
    counts = [len(split.source) for split in (corpus.train, corpus.val, corpus.tests["test_2016_flickr"])]
    assert counts == [29_000, 1_014, 1_000]
    assert read_split(SHARED / "multi30k", "test_2016_flickr", "de", "en") == corpus.tests["test_2016_flickr"]


@needs_shared
def test_tatoeba() -> None:
    corpus = read_corpus(SHARED / "tatoeba_cmn_eng" / "cmn.txt.gz", "zh", "en", "2", "1")
    splits = [corpus.train, corpus.val, corpus.tests["test"]]
    assert sum(len(split.source) for split in splits) == 29_155
    assert all(1_000 <= len(split.source) < 1_050 for split in splits[1:])
    for side in (0, 1):
        sets = [set(split[side]) for split in splits]
        assert not sets[0] & sets[1] and not sets[0] & sets[2] and not sets[1] & sets[2]
