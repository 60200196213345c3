"""Tagging: columns and lists read, entities by hand, every word answered for once, and the commands."""

import json
from pathlib import Path

import pytest
import torch
from tiny import Command, sets

from allyouneed import load
from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.data.tagged import Tagged, read_sentences, read_tagged, tag_ids, tag_set
from allyouneed.errors import UserError
from allyouneed.models.bert import BertConfig, tagger
from allyouneed.nn.encoder_heads import NOTHING
from allyouneed.tasks.entities import entities, tag_scores
from allyouneed.tasks.tagging import Sentences, TaggingTask, parts_of, read

NAMES = ["Ada Lovelace", "Berlin", "Konrad Zuse", "Paris", "Alan Turing", "London"]
KINDS = ["PER", "LOC", "PER", "LOC", "PER", "LOC"]
VERBS = ["visits", "greets", "paints", "knows"]


def corpus() -> Tagged:
    found = Tagged([], [])
    for one, kind in zip(NAMES, KINDS, strict=True):
        for verb in VERBS:
            for other, its in zip(NAMES, KINDS, strict=True):
                words, tags = list[str](), list[str]()
                for part, tag in ((one, kind), (verb, ""), (other, its), (".", "")):
                    own = part.split()
                    words += own
                    tags += [f"{'I' if i else 'B'}-{tag}" if tag else "O" for i in range(len(own))]
                found.words.append(words)
                found.tags.append(tags)
    return found


def as_columns(text: Tagged) -> str:
    rows = ["".join(f"{w} x {t}\n" for w, t in zip(*row, strict=True)) for row in zip(*text, strict=True)]
    return "-DOCSTART- -X- O\n\n" + "\n".join(rows)


# ---- files


def test_columns_and_json_say_the_same(tmp_path: Path) -> None:
    text = corpus()
    (tmp_path / "a.conll").write_text(as_columns(text), encoding="utf-8")
    lines = [json.dumps({"tokens": w, "ner_tags": t}) for w, t in zip(*text, strict=True)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "b.tsv").write_text("two words\tB-X\n\nb\tO", encoding="utf-8")
    assert read_sentences(tmp_path / "a.conll", None, None) == read_sentences(tmp_path / "a.jsonl", None, None) == text
    assert read_sentences(tmp_path / "b.tsv", None, None) == Tagged([["two words"], ["b"]], [["B-X"], ["O"]])
    assert read_sentences(tmp_path / "a.conll", "3", "2").words == text.tags


def test_a_file_is_split_and_a_folder_names_its_splits(tmp_path: Path) -> None:
    (tmp_path / "train.conll").write_text(as_columns(corpus()), encoding="utf-8")
    alone = read_tagged(tmp_path / "train.conll")
    parts = [alone.train, alone.val, alone.tests["test"]]
    seen = [{" ".join(words) for words in part.words} for part in parts]
    assert sum(map(len, seen)) == len(set.union(*seen)) == len(corpus().words) and all(seen)
    (tmp_path / "dev.jsonl").write_text('{"words": ["a"], "tags": ["O"]}', encoding="utf-8")
    assert read_tagged(tmp_path).val == Tagged([["a"]], [["O"]])


@pytest.mark.parametrize("name, text, given, complaint", [
    ("a.conll", "a O\nb\n", (None, None), r"a\.conll, line 2: 1 column\(s\), but column 2 is needed"),
    ("a.conll", "a O\n", (None, "4"), r"line 1: 2 column\(s\), but column 4 is needed"),
    ("a.tsv", "a\t \n", (None, None), "line 1: the tag .* is empty"),
    ("a.conll", "a O\n", ("word", None), "no names for its columns, so 'word' is none of them"),
    ("a.conll", "\n\n", (None, None), "has no sentences"),
    ("a.jsonl", '{"tokens": ["a"], "tags": []}', (None, None), "line 1: 1 words and 0 tags"),
    ("a.jsonl", '{"x": ["a"], "tags": ["O"]}', (None, None), "no list that is surely the words; it has 'x', 'tags'"),
    ("a.jsonl", '{"tokens": ["a"], "tags": ["O"]}', (None, "pos"), "no list 'pos'"),
    ("a.jsonl", '{"tokens": [["a"]], "tags": ["O"]}', (None, None), "something else than words"),
    ("a.docx", "a O", (None, None), "no file of tagged text by its name"),
])  # fmt: skip
def test_bad_files_are_refused(
    name: str, text: str, given: tuple[str | None, str | None], complaint: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=complaint):
        read_sentences(tmp_path / name, *given)


def test_tags_are_ordered_and_whole() -> None:
    assert tag_set(corpus()) == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]  # no place has two words, but one might
    assert tag_set(Tagged([["a", "b"]], [["VERB", "NOUN"]])) == ["NOUN", "VERB"]
    with pytest.raises(UserError, match="have the tag 'O'"):
        tag_set(Tagged([["a"]], [["O"]]))
    with pytest.raises(UserError, match=r"validation, sentence 1: the tag 'B-X' of 'b' does not occur in training"):
        tag_ids(Tagged([["a", "b"]], [["O", "B-X"]]), ["O", "B-Y"], "validation")


# ---- entities


@pytest.mark.parametrize("tags, found", [
    ("B-A I-A O B-A", ["A 0 2", "A 3 4"]),
    ("B-A B-A I-A", ["A 0 1", "A 1 3"]),
    ("B-A I-B I-B O", ["A 0 1", "B 1 3"]),  # conlleval: another kind begins anew
    ("O I-A I-A", ["A 1 3"]),
    ("S-A B-B E-B B-B I-B E-B", ["A 0 1", "B 1 3", "B 3 6"]),
    ("NOUN O", []),
    ("", []),
])  # fmt: skip
def test_entities_by_hand(tags: str, found: list[str]) -> None:
    assert [f"{e.kind} {e.begin} {e.end}" for e in entities(tags.split())] == found


def test_scores_by_hand() -> None:
    """Wanted: PER 0-2, LOC 3-4. Found: PER 0-1 (too short), LOC 3-4, LOC 4-5. One hit of three, one of two."""
    true = ["B-PER", "I-PER", "O", "B-LOC", "O"]
    found = ["B-PER", "O", "O", "B-LOC", "B-LOC"]
    assert tag_scores([true], [found]) == {"accuracy": 0.6, "precision": 1 / 3, "recall": 0.5, "f1": 0.4}
    assert tag_scores([["A", "B"]], [["A", "A"]], spans=False) == {"accuracy": 0.5}


# ---- pieces


def test_every_word_is_in_one_part() -> None:
    lines = [" ".join(words) for words in corpus().words]
    subwords = EncoderSubwords.train(lines, "wordpiece", 45)  # words fall into many pieces
    words = ["Lovelace", "\u200b", "visits", "xyzxyzxyz", "Berlin"] * 3
    whole = subwords.words(words)
    for longest in (8, 12, 40, 500):
        parts = parts_of(words, subwords, longest)
        assert all(len(part.ids) <= longest and part.ids[0] == subwords.marks.cls for part in parts)
        assert sum(len(part.places) for part in parts) == len(words)
        firsts = [part.ids[place] for part in parts for place in part.places]
        for word, first in enumerate(firsts):
            own = [index for index, w in zip(whole.ids, whole.word, strict=True) if w == word]
            assert first == (own[0] if own else subwords.marks.unk)
    assert len(parts_of(words, subwords, 500)) == 1 < len(parts_of(words, subwords, 12))
    assert parts_of([], subwords, 9)[0].places == []


def test_long_sentences_are_answered_word_by_word_and_the_loss_is_theirs() -> None:
    """Against a loop over the parts one by one, without padding."""
    text = corpus()
    subwords = EncoderSubwords.train([" ".join(words) for words in text.words], "wordpiece", 60)
    labels = tag_set(text)
    config = BertConfig(vocab_size=len(subwords), dim=16, heads=2, ffn_dim=32, depth=1, positions_length=16, labels=5)
    model = tagger(config).eval()
    words = [[w for row in text.words[i : i + 3] for w in row] for i in range(0, 30, 3)]
    tags = [[t for row in text.tags[i : i + 3] for t in row] for i in range(0, 30, 3)]
    ids = tag_ids(Tagged(words, tags), labels, "")
    made = Sentences.of(words, ids, subwords, 16)
    found = read(model, made, subwords.marks.pad, 64)
    task = TaggingTask(made, made, tags, labels, 64, 1, subwords.marks.pad)
    total, count = 0.0, 0
    for row, own in enumerate(words):
        parts = parts_of(own, subwords, 16)
        assert len(parts) > 1
        logits = torch.cat([model(torch.tensor([part.ids]))[0, part.places] for part in parts])
        torch.testing.assert_close(found[row], logits, atol=1e-5, rtol=1e-5)
        total += torch.nn.functional.cross_entropy(logits, torch.tensor(ids[row]), reduction="sum").item()
        count += len(own)
    batches = task.plan(0)
    assert sum(task.weight(batch, 0) for batch in batches) == count
    losses = [task.loss(model, task.collate(batch, 0), "model")[0] for batch in batches]
    assert sum(loss.item() for loss in losses) == pytest.approx(total, rel=1e-4)
    assert all((task.collate(batch, 0).tags[:, 0] == NOTHING).all() for batch in batches)


# ---- the commands


def test_a_tagger_learns_and_is_used(command: Command, tmp_path: Path) -> None:
    (tmp_path / "all.conll").write_text(as_columns(corpus()), encoding="utf-8")
    small = sets("model.dim=32", "model.heads=2", "model.ffn_dim=64", "model.depth=1", "model.dropout=0",
                 "data.vocab_size=200", "data.length=32", "data.batch_tokens=256", "training.precision=float32",
                 "training.learning_rate=0.01", "training.warmup_steps=5", "training.validate_every=40")  # fmt: skip
    said = command("train", "tagging", "--data", tmp_path / "all.conll", "--out", tmp_path / "run",
                   "--max-steps", 80, *small)  # fmt: skip
    assert said.code == 0 and "tags: O" in said.err + said.out
    scores = json.loads(command("evaluate", tmp_path / "run", "--split", "test", "--json").out)
    assert scores["f1"] > 0.9 and scores["accuracy"] > 0.9 and scores["split"] == "test"
    (tmp_path / "in.txt").write_text("Ada Lovelace visits Paris .\n\nBerlin\n", encoding="utf-8")
    lines = command("predict", tmp_path / "run", tmp_path / "in.txt").out.split("\n")
    assert [line.split("\t")[0] for line in lines] == [
        "Ada",
        "Lovelace",
        "visits",
        "Paris",
        ".",
        "",
        "",
        "Berlin",
        "",
        "",
    ]
    found = json.loads(command("predict", tmp_path / "run", tmp_path / "in.txt", "--json").out.splitlines()[0])
    assert found["tags"] == ["B-PER", "I-PER", "O", "B-LOC", "O"]
    assert found["entities"][0] == {"kind": "PER", "text": "Ada Lovelace", "begin": 0, "end": 2}
    run = load(tmp_path / "run")
    long = "Ada Lovelace visits Paris . " * 60  # more than the positions
    assert len(run.predict([long])[0]) == 300 and run.predict([]) == []


def test_refusals_at_the_command(command: Command, tmp_path: Path) -> None:
    (tmp_path / "all.conll").write_text(as_columns(corpus()), encoding="utf-8")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "train.conll").write_text("a B-LOC\nb O\n\nc O\n", encoding="utf-8")
    (tmp_path / "own" / "dev.conll").write_text("a B-ORG\n", encoding="utf-8")
    (tmp_path / "pos.tsv").write_text("\n\n".join(f"word{i}\tNOUN\nis\tVERB" for i in range(60)), encoding="utf-8")
    for data, words, complaint in (
        (
            "own",
            [],
            "validation, sentence 1: the tag 'B-ORG' of 'a' does not occur in training, which has 'O', 'B-LOC'",
        ),
        ("all.conll", ["data.tag=ner"], "'ner' is none of them"),
        ("all.conll", ["data.tag=7"], "column 7 is needed"),
        ("pos.tsv", ["data.metric=f1"], "no tag begins with B- or I-; choose accuracy"),
        ("nowhere", [], "there is no file or folder"),
    ):
        given = ["--data", tmp_path / data, "--out", tmp_path / "x", "--max-steps", 1, *sets(*words)]
        assert complaint in command.refuses("train", "tagging", *given)
        assert not (tmp_path / "x").exists()
    assert "give --data a file of words and tags" in command.refuses("train", "tagging", "--out", tmp_path / "x")
