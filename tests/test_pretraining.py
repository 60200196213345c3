"""Pre-training and fine-tuning encoders: documents, pairs, masks by their statistics, labelled tables, and the commands."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import Command

from allyouneed.data.documents import read_documents
from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.data.labelled import Columns, label_ids, label_set, read_labelled
from allyouneed.data.masking import Hiding, Masking
from allyouneed.data.sentence_pairs import Instance, Instances
from allyouneed.errors import UserError
from allyouneed.models.bert import BertConfig, text_classifier
from allyouneed.tasks.classification_scores import confusion, scores
from allyouneed.tasks.tuning import TuningSettings, height, rates

LINES = [
    f"the {a} {b} sees a {c} quickly" for a in ("old", "young", "red") for b in ("dog", "cat") for c in ("bird", "fish")
]


@pytest.fixture(scope="module")
def subwords() -> EncoderSubwords:
    return EncoderSubwords.train(LINES, "wordpiece", 200)


def documents_of(subwords: EncoderSubwords, count: int = 20, sentences: int = 6) -> list[list[list[int]]]:
    """Document i holds sentences of the one piece that is its own, so that a stranger is known by its face."""
    words = Hiding(subwords, Masking()).words
    assert count <= len(words)
    return [[[int(words[i])] * 5 for _ in range(sentences)] for i in range(count)]


# ---- pairs


@pytest.mark.parametrize("pair", ["next-sentence", "sentence-order", "none"])
def test_instances_fit_and_depend_on_seed_and_epoch_alone(subwords: EncoderSubwords, pair: str) -> None:
    made = Instances(documents_of(subwords), subwords, 24, pair)
    rows = made.made(3, 1)
    assert rows == made.made(3, 1) and rows != made.made(3, 2)
    assert all(len(row.ids) == len(row.segments) <= 24 for row in rows)
    assert all(row.ids[0] == subwords.marks.cls and row.ids[-1] == subwords.marks.sep for row in rows)
    assert all(row.ids.count(subwords.marks.sep) == (1 if pair == "none" else 2) for row in rows)


def test_about_half_of_the_second_texts_are_strangers_and_labelled_so(subwords: EncoderSubwords) -> None:
    made = Instances(documents_of(subwords, 40), subwords, 24, "next-sentence")
    rows = [row for epoch in range(10) for row in made.made(1, epoch)]
    strange = 0
    for row in rows:
        first = {i for i, s in zip(row.ids, row.segments, strict=True) if s == 0} - set(subwords.marks)
        second = {i for i, s in zip(row.ids, row.segments, strict=True) if s == 1} - set(subwords.marks)
        assert second and (first != second) == bool(row.other)
        strange += row.other
    assert 0.4 < strange / len(rows) < 0.75  # a chunk of a single sentence has a stranger behind it always


def test_swapped_texts_are_labelled_so(subwords: EncoderSubwords) -> None:
    words = Hiding(subwords, Masking()).words
    document = [[int(words[i])] * 3 for i in range(12)]  # the order of sentences shows in their pieces
    rows = [
        row
        for epoch in range(40)
        for row in Instances([document, document], subwords, 30, "sentence-order").made(1, epoch)
    ]
    place = {int(word): i for i, word in enumerate(words[:12])}
    for row in rows:
        order = [place[i] for i in row.ids if i in place]
        assert (order != sorted(order)) == bool(row.other) or len(set(order)) == 1
    assert 0.35 < np.mean([row.other for row in rows]) < 0.65


# ---- masks


def test_masks_have_the_papers_shares(subwords: EncoderSubwords) -> None:
    hiding = Hiding(subwords, Masking())
    words = [int(w) for w in hiding.words]
    row = Instance([subwords.marks.cls, *(words * 3)[:100], subwords.marks.sep], [0] * 102, 0)
    kinds = np.zeros(3)
    for seed in range(400):
        places, shown = hiding.hide(row, np.random.default_rng(seed))
        assert (
            len(places) == hiding.count(row) == 15
            and (np.diff(places) > 0).all()
            and places[0] > 0
            and places[-1] < 101
        )
        own = np.asarray(row.ids)[places]
        kinds += [(shown == subwords.marks.mask).sum(), (shown == own).sum(), 0]
        assert not np.isin(shown[shown != subwords.marks.mask], subwords.marks).any()
    assert abs(kinds[0] / 6000 - 0.8) < 0.02
    assert abs(kinds[1] / 6000 - (0.1 + 0.1 / len(words))) < 0.015  # a random piece may be the same


def test_whole_words_are_hidden_whole() -> None:
    subwords = EncoderSubwords.train(["abcd efgh ijkl"] * 3, "wordpiece", 40)
    ids = subwords.encode(["efgh abcd lijk abcd ijkl efgh hgfe"])[0]
    row = Instance([subwords.marks.cls, *ids, subwords.marks.sep], [0] * (len(ids) + 2), 0)
    hiding = Hiding(subwords, Masking(share=0.4, masked=1.0, kept=0.0, whole_words=True))
    groups = hiding._words(np.asarray(row.ids), np.arange(1, len(ids) + 1))
    whole = 0
    for seed in range(50):
        hidden = set(hiding.hide(row, np.random.default_rng(seed))[0].tolist())
        parts = [len(hidden & set(group)) / len(group) for group in groups]
        assert sum(0 < part < 1 for part in parts) <= 1  # one may be cut where the count would be passed
        whole += sum(part == 1 for part in parts)
    assert len(hidden) == hiding.count(row) and whole > 50


def test_ngrams_are_runs(subwords: EncoderSubwords) -> None:
    words = [int(w) for w in Hiding(subwords, Masking()).words]
    row = Instance([subwords.marks.cls, *(words * 4)[:120], subwords.marks.sep], [0] * 122, 0)

    def runs(ngram: int) -> float:
        hiding, adjacent, total = Hiding(subwords, Masking(ngram=ngram)), 0, 0
        for seed in range(60):
            places, _ = hiding.hide(row, np.random.default_rng(seed))
            assert len(places) == hiding.count(row)
            adjacent, total = adjacent + int((np.diff(places) == 1).sum()), total + len(places)
        return adjacent / total

    assert runs(3) > runs(1) + 0.1


# ---- documents and tables


def test_documents_end_at_blank_lines_and_tables_have_one_a_row(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n\nthree\n\n\nfour\n", encoding="utf-8")
    (tmp_path / "b.tsv").write_text("label\ttext\n1\tfive\n0\tsix\n", encoding="utf-8")
    found = read_documents([tmp_path / "a.txt", tmp_path / "b.tsv"], None, 0.2, 1)
    assert sorted(map(tuple, [*found.train, *found.val])) == [
        ("five",),
        ("four",),
        ("one", "two"),
        ("six",),
        ("three",),
    ]
    assert len(found.val) == 1


def test_labelled_folders_and_files(tmp_path: Path) -> None:
    for name, rows in (("train", 40), ("dev", 5), ("test_a", 6), ("test_b", 7)):
        body = "".join(f"text {name} {i}\t{i % 2}\n" for i in range(rows))
        (tmp_path / f"{name}.tsv").write_text(f"sentence\tlabel\n{body}", encoding="utf-8")
    corpus = read_labelled(tmp_path, Columns())
    assert (len(corpus.train.first), len(corpus.val.first)) == (40, 5)
    assert {name: len(part.first) for name, part in corpus.tests.items()} == {"test_a": 6, "test_b": 7}
    alone = read_labelled(tmp_path / "train.tsv", Columns())
    assert sorted([*alone.train.first, *alone.val.first, *alone.tests["test"].first]) == sorted(corpus.train.first)
    assert label_set(corpus.train) == ["0", "1"]


def test_labels_sort_as_numbers_where_they_are_numbers() -> None:
    from allyouneed.data.labelled import Labelled

    assert label_set(Labelled(["a"] * 4, [], ["10", "2", "-1", "2"])) == ["-1", "2", "10"]
    with pytest.raises(UserError, match="two labels"):
        label_set(Labelled(["a"], [], ["x"]))
    with pytest.raises(UserError, match=r"row 2: the label 'z' does not occur"):
        label_ids(["x", "z"], ["x", "y"], "validation")


@pytest.mark.parametrize("text, columns, words", [
    ("a\tb\n1\t2\n", Columns(), "no column that is surely the text; its columns: 'a', 'b'"),
    ("text\tb\n1\t2\n", Columns(), "no column that is surely the label"),
    ("text\tlabel\nx\t1\n", Columns(text="words"), "no column 'words'"),
    ("text\tlabel\nx\t1\ny\n", Columns(), "line 3: 1 fields where the table has 2 columns"),
    ("text\tlabel\nx\t1\ny\t\n", Columns(), r"line 3: the label \(column 'label'\) is empty"),
    ("", Columns(), "is empty"),
])  # fmt: skip
def test_bad_tables_are_refused(text: str, columns: Columns, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        read_labelled(tmp_path / "t.tsv", columns)


# ---- scores and rates


def test_scores_by_hand() -> None:
    """6 right of 8; class 1: 3 true positives, 1 false positive, 1 false negative."""
    table = confusion([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 0], 2)
    assert table.tolist() == [[3, 1], [1, 3]]
    found = scores(table)
    assert found["accuracy"] == 0.75 and found["f1"] == 0.75 and found["mcc"] == 0.5
    assert scores(np.array([[5, 0], [5, 0]]))["mcc"] == 0.0


def test_lower_layers_learn_more_slowly_and_frozen_ones_not_at_all() -> None:
    model = text_classifier(BertConfig(vocab_size=30, dim=8, heads=2, ffn_dim=16, depth=2, positions_length=16))
    found = rates(model, TuningSettings(layer_decay=0.5))
    by_height = {height(name): rate for name, rate in found.items()}
    assert by_height == {0: 0.125, 1: 0.25, 2: 0.25, 3: 0.5, 4: 0.5, None: 1.0}
    frozen = rates(model, TuningSettings(freeze=1))
    assert all((frozen[name] == 0) == (height(name) in (0, 1, 2)) for name in frozen)


# ---- the commands


def test_from_raw_text_to_a_classifier(command: Command, tmp_path: Path) -> None:
    (tmp_path / "raw.txt").write_text(
        "\n".join(line + ("\n" if i % 4 == 3 else "") for i, line in enumerate(LINES * 4))
    )
    rows = "".join(f"{line}\t{'dog' if 'dog' in line else 'cat'}\n" for line in LINES)
    (tmp_path / "rows.tsv").write_text(f"text\tlabel\n{rows}", encoding="utf-8")
    words = "model.dim=16 model.heads=2 model.ffn_dim=32 model.depth=1 data.vocab_size=200 data.length=32"
    small = [w for pair in (words + " training.precision=float32").split() for w in ("--set", pair)]
    command(
        "train",
        "masked-lm",
        "--data",
        str(tmp_path / "raw.txt"),
        "--out",
        str(tmp_path / "mlm"),
        "--max-steps",
        "3",
        *small,
    )
    guessed = command("fill-mask", str(tmp_path / "mlm"), "the old [MASK] sees", "--top-k", "2").out
    assert len(guessed.strip().splitlines()) == 2
    assert "[MASK]" in command.refuses("fill-mask", str(tmp_path / "mlm"), "nothing hidden")
    assert '"masked_accuracy"' in command("evaluate", str(tmp_path / "mlm"), "--split", "val", "--json").out
    fine = ["--set", "training.precision=float32", "--set", "data.length=32", "--max-steps", "3"]
    start = ["--from", str(tmp_path / "mlm"), "--data", str(tmp_path / "rows.tsv")]
    command("train", "text-classification", *start, "--out", str(tmp_path / "fine"), *fine)
    (tmp_path / "in.txt").write_text("the old dog sees\nthe cat\n")
    said = command("predict", str(tmp_path / "fine"), str(tmp_path / "in.txt"), "--top-k", "2").out.splitlines()
    assert len(said) == 2 and set(said[0].split("\t")[::2]) == {"dog", "cat"}
    assert '"mcc"' in command("evaluate", str(tmp_path / "fine"), "--split", "val", "--json").out
    sentence = command.refuses("evaluate", str(tmp_path / "fine"), "--split", "val", "--beam", "3")
    assert "--beam means nothing to a run of text-classification" in sentence
    other = ["--from", str(tmp_path / "mlm"), "--data", str(tmp_path / "rows.tsv"), "--model", "albert"]
    assert "give --model bert" in command.refuses(
        "train", "text-classification", *other, "--out", str(tmp_path / "x"), *fine
    )
    import allyouneed as ayn

    run = ayn.load(str(tmp_path / "fine"))
    assert run.encode(["the dog", "a bird sees the fish"]).shape == (2, 16)
    alone = run.encode(["the dog"])
    torch.testing.assert_close(run.encode(["the dog", "a bird sees the fish quickly"])[:1], alone, atol=1e-5, rtol=0)
