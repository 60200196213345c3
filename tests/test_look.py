"""`run.look` of every kind of run: what the trace says is what the run answers, and it can be kept and read back."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from look_runs import INPUTS, RUNS, SMALL, TEXT, given, images, picture, solver, translator, writer
from PIL import Image

from allyouneed import load
from allyouneed.data.subwords import Subwords
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.decoding.translate import Translator
from allyouneed.errors import UserError
from allyouneed.models.catalogue import CATALOGUE
from allyouneed.tracing.manifest import ModelCard
from allyouneed.tracing.sentence import look_inside
from allyouneed.tracing.trace import Trace

Folder = Any


@pytest.fixture(scope="module")
def open_run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    base = tmp_path_factory.mktemp("runs")

    @cache
    def opened(task: str) -> Any:
        return load(RUNS[task](base / task), "cpu")

    return opened


def attention(trace: Trace, relation: str, layer: int = 0) -> torch.Tensor:
    return torch.from_numpy(trace.weights(relation, layer))


# ---- all kinds


@pytest.mark.parametrize("task", RUNS)
def test_every_kind_of_run_gives_a_trace_that_can_be_kept(task: str, open_run: Any, tmp_path: Path) -> None:
    run = open_run(task)
    trace = run.look(given(task, tmp_path))
    manifest = trace.manifest
    assert manifest.relations and manifest.flow and manifest.positions
    assert (manifest.model.task, manifest.model.run) == (task, task)
    assert manifest.model.parameters == sum(p.numel() for p in run.model.parameters()) and manifest.model.orders
    for name, relation in manifest.relations.items():
        sizes = [manifest.spaces[space].size for space in (relation.queries, relation.keys)]
        for number, layer in enumerate(relation.layers):
            weights = attention(trace, name, number)
            assert list(weights.shape) == [layer.heads, *sizes]
            torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]), atol=1e-4, rtol=0)
            assert layer.error is not None and layer.error < 1e-4
    again = Trace.load(trace.save(tmp_path / "a.trace"))
    assert again.manifest == manifest and set(again.arrays) == set(trace.arrays)
    assert all(np.array_equal(again.arrays[name], array) for name, array in trace.arrays.items())


@pytest.mark.parametrize("task", INPUTS)
def test_an_empty_input_is_refused(task: str, open_run: Any) -> None:
    for nothing in ("", "  \n"):
        with pytest.raises(UserError, match="empty"):
            open_run(task).look(nothing)


@pytest.mark.parametrize("task", INPUTS)
def test_a_long_input_is_refused_with_the_limit(task: str, open_run: Any) -> None:
    if task == "question-answering":
        pytest.skip("passages of any length are read in windows")
    text = "1 " * 6000 if task == "algorithm" else "dog " * 6000
    with pytest.raises(UserError, match=r"limit is .*(40|4,096|1,024|2,048|512)"):
        open_run(task).look(text)


def test_looking_leaves_the_model_as_it_was(open_run: Any) -> None:
    run = open_run("translation")
    before = run.translate(INPUTS["translation"])
    first, second = (run.look(INPUTS["translation"]) for _ in range(2))
    assert first.to_bytes() == second.to_bytes() and run.translate(INPUTS["translation"]) == before
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in run.model.modules())


# ---- translators


@pytest.mark.parametrize("beam", [1, 3])
def test_a_translation_and_its_search(beam: int, open_run: Any) -> None:
    run, text = open_run("translation"), INPUTS["translation"]
    trace = run.look(text, beam=beam)
    manifest, tree = trace.manifest, trace.manifest.beam
    assert manifest.input == text and manifest.output == run.translate(text, beam=beam)
    assert tree is not None and (tree.width, tree.penalty, tree.alpha) == (beam, "average", 1.0)
    found = run.n_best([text], 1, beam=beam)[0][0]
    assert [tree.nodes[i].token for i in tree.best] == [*found.ids, 2]
    assert [tree.nodes[i].text for i in tree.best] == manifest.spaces["target"].items
    last = tree.nodes[tree.best[-1]]
    assert (last.total, last.score) == (pytest.approx(found.log_prob, abs=1e-4), pytest.approx(found.score, abs=1e-4))
    rows = [tree.nodes[i].reading for i in tree.best]
    assert len(tree.cross) == len(manifest.relations["cross"].layers) == 2
    for number, name in enumerate(tree.cross):  # read in the search itself, one row at a time; and in one pass
        searched = torch.from_numpy(trace.arrays[name][rows]).transpose(0, 1)
        torch.testing.assert_close(searched, attention(trace, "cross", number), atol=1e-5, rtol=0)


TRANSLATORS = [name for name, system in CATALOGUE.items() if "translation" in system.builds]


@pytest.mark.parametrize("name", TRANSLATORS)
def test_every_translator_of_the_catalogue_can_be_looked_at(name: str) -> None:
    """Its search read, step by step, what one pass over the whole translation reads."""
    subwords = Subwords.train([TEXT] * 3, "bpe", 120)
    system = CATALOGUE[name]
    config = system.tiny.model_copy(update={"vocab_size": len(subwords)})
    model = system.builds["translation"](config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    settings = DecodingSettings(beam=3, max_extra=6)
    trace = look_inside(Translator(model, subwords, subwords), "the old dog sees", settings, ModelCard(name=name))
    tree, cross = trace.manifest.beam, trace.manifest.relations["cross"]
    assert tree is not None and len(tree.cross) == len(cross.layers) and trace.manifest.flow
    assert (cross.queries, cross.keys) == ("target", "source")
    rows = [tree.nodes[i].reading for i in tree.best]
    for number, array in enumerate(tree.cross):
        searched = torch.from_numpy(trace.arrays[array][rows]).transpose(0, 1)
        torch.testing.assert_close(searched, attention(trace, "cross", number), atol=1e-5, rtol=0)


def test_a_model_that_has_diverged_says_so(tmp_path: Path) -> None:
    run = load(RUNS["text-classification"](tmp_path / "run"), "cpu")
    run.model.head.linear.bias.data.fill_(math.nan)
    with pytest.raises(UserError, match="diverged"):
        run.look("the old dog")


def test_pieces_stand_where_they_are_read_and_written(open_run: Any) -> None:
    trace = open_run("translation").look(INPUTS["translation"])
    spaces, relations = trace.manifest.spaces, trace.manifest.relations
    source, read, written = (spaces[name] for name in ("source", "read", "target"))
    assert "".join(source.items).replace("▁", " ") == " " + INPUTS["translation"] + "</s>"
    assert read.items[0] == "<s>" and read.items[1:] == written.items[:-1] and written.items[-1] == "</s>"
    assert (source.special, read.special, written.special) == ([len(source.items) - 1], [0], [len(written.items) - 1])
    assert (source.language, written.language) == ("de", "en")
    ends = {name: (relation.queries, relation.keys) for name, relation in relations.items()}
    assert ends == {"encoder": ("source",) * 2, "decoder": ("read",) * 2, "cross": ("target", "source")}
    assert np.array_equal(trace.visible(relations["decoder"].layers[0])[0], np.tri(len(read.items), dtype=bool))


def test_spellings_of_marks_are_text(open_run: Any) -> None:
    trace = open_run("translation").look("</s> <s> <script>alert(1)</script>")
    assert trace.manifest.spaces["source"].items.count("</s>") == 1
    assert trace.manifest.spaces["source"].special == [trace.manifest.spaces["source"].size - 1]


# ---- language models


def test_a_language_model_guesses_the_next_piece(open_run: Any) -> None:
    run, text = open_run("language-model"), INPUTS["language-model"]
    trace = run.look(text)
    assert trace.manifest.spaces["tokens"].items == ["<s>", *text]  # characters, spaces and line ends as they are
    ids = torch.tensor([[1, *run.pieces.encode_text(text).tolist()]])
    with torch.no_grad():
        wanted = run.model(ids)[0].softmax(-1)
    (found,) = trace.manifest.guesses
    assert [guess.item for guess in found.at] == list(range(len(text) + 1))
    for guess in found.at:
        best = int(wanted[guess.item].argmax())
        assert guess.tokens[0] in (run.pieces.decode_text([best]), run.pieces.pieces([best])[0])
        assert guess.probabilities[0] == pytest.approx(float(wanted[guess.item, best]), abs=1e-5)
        assert guess.probabilities == sorted(guess.probabilities, reverse=True) and sum(guess.probabilities) < 1.001


def test_a_reformer_shows_its_buckets(tmp_path: Path) -> None:
    words = ["model.ffn_dim=24", "model.chunk=8", "model.local_chunk=8", "model.positions_shape=[16,16]"]
    run = load(writer(tmp_path / "run", "reformer", "model.dim=32", "model.depth=1", *words), "cpu")
    trace = run.look("the old dog sees a bird")
    assert trace.manifest.buckets and trace.manifest.buckets[0].chunk == 8


# ---- encoders


def test_masks_are_guessed_as_by_fill_mask(open_run: Any) -> None:
    run, text = open_run("masked-lm"), INPUTS["masked-lm"]
    trace = run.look(text)
    (found,) = trace.manifest.guesses
    tokens = trace.manifest.spaces["tokens"]
    assert [tokens.items[guess.item] for guess in found.at] == ["[MASK]"] * 2
    assert tokens.items[0] == "[CLS]" and tokens.special == [0, len(tokens.items) - 1]
    for guess, wanted in zip(found.at, run.fill_mask(text, len(found.at[0].tokens)), strict=True):
        assert guess.tokens == [piece for piece, _ in wanted]
        assert guess.probabilities == pytest.approx([share for _, share in wanted], abs=1e-5)
    without = run.look("the old dog")
    assert not without.manifest.guesses and "no [MASK]" in without.manifest.notes[0]


def test_a_text_is_classified_as_by_predict(open_run: Any) -> None:
    run = open_run("text-classification")
    for text in ("the old dog", "the old dog\ta bird"):
        first, *second = text.split("\t")
        wanted = run.predict([first], second)[0]
        found = run.look(text).manifest
        assert found.classes is not None and found.classes.names == list(wanted)
        assert found.classes.probabilities == pytest.approx(list(wanted.values()), abs=1e-5)
        assert found.output == next(iter(wanted))
        assert found.spaces["tokens"].items.count("[SEP]") == len(text.split("\t"))


def test_words_are_tagged_as_by_predict(open_run: Any) -> None:
    run = open_run("tagging")
    found, words = run.look(INPUTS["tagging"]).manifest, run.predict([INPUTS["tagging"]])[0]
    assert found.output == " ".join(f"{word.word}/{word.tag}" for word in words)
    pieces = found.spaces["tokens"].items
    for guess, word in zip(found.guesses[0].at, words, strict=True):
        assert word.word.startswith(pieces[guess.item]) and guess.tokens[0] == word.tag
        assert guess.probabilities[0] == pytest.approx(word.probability, abs=1e-5)


def test_the_answer_stands_in_the_window_that_is_shown(open_run: Any) -> None:
    run, passage = open_run("question-answering"), TEXT * 3
    for question in ("who sleeps ?", "what is under a tree ?"):
        found, wanted = run.look(f"{question}\t{passage}").manifest, run.predict([question], [passage])[0]
        assert found.classes is not None and found.output == wanted.text
        assert found.classes.names[0] == (wanted.text or "(none)")
        shown = " ".join(found.spaces["tokens"].items).replace(" ##", "")
        assert wanted.text in shown and "windows" in found.notes[0]
    assert run.look(f"who sleeps ?\n{TEXT}").manifest.output == run.look(f"who sleeps ?\t{TEXT}").manifest.output
    with pytest.raises(UserError, match="no passage"):
        run.look("who sleeps ?")


# ---- images


def test_an_image_lies_under_its_patches(open_run: Any, tmp_path: Path) -> None:
    run, path = open_run("image-classification"), picture(tmp_path / "a.png")
    trace = run.look(path)
    space = trace.manifest.spaces["patches"]
    assert (space.kind, space.rows, space.columns) == ("grid", 4, 4)
    assert space.prefix == int(run.settings.model.pool == "token") and len(space.items) == space.prefix
    shown = trace.arrays[space.picture or ""]
    assert shown.shape == (16, 16, 3) and np.array_equal(shown, run.pixels(path).transpose(1, 2, 0))
    assert trace.manifest.classes is not None and trace.manifest.title == "a.png"
    assert trace.manifest.classes.names == [guess.label for guess in run.predict(path)]
    for same in (path.read_bytes(), Image.open(path)):
        assert np.array_equal(run.look(same).weights("self"), trace.weights("self"))


@pytest.mark.parametrize(
    ("system", "words"),
    [
        ("mixer", ["model.dim=16", "model.token_dim=8", "model.ffn_dim=16", "model.depth=1"]),
        ("spach", ["model.dim=8", "model.heads=2", "model.order=pm-am"]),
        ("lambda", ["model.dim=8", "model.heads=2", "model.key_dim=4", "model.order=c-ll"]),
    ],
)
def test_other_image_models_lie_on_their_image_too(system: str, words: list[str], tmp_path: Path) -> None:
    trace = load(images(tmp_path / "run", system, *words), "cpu").look(picture(tmp_path / "a.png"))
    grids = [space for space in trace.manifest.spaces.values() if space.kind == "grid"]
    assert grids and all(space.picture and space.rows * space.columns + space.prefix == space.size for space in grids)


def test_what_is_no_image_and_what_shows_nothing(open_run: Any, tmp_path: Path) -> None:
    run = open_run("image-classification")
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(UserError, match=r"a\.png cannot be read"):
        run.look(tmp_path / "a.png")
    with pytest.raises(UserError, match="no image"):
        run.look(b"no image")
    whole = picture(tmp_path / "b.png").read_bytes()
    with pytest.raises(UserError, match="cannot be read"):
        run.look(whole[: len(whole) // 2])
    plain = load(images(tmp_path / "cnn", "cnn", "model.dim=8", "model.order=b-b"), "cpu")
    with pytest.raises(UserError, match="nothing to record"):
        plain.look(tmp_path / "b.png")


# ---- algorithms


@pytest.mark.parametrize(
    ("system", "words", "relations"),
    [
        ("universal", [*SMALL[1:3], "model.steps=3", "model.halting=basic"], {"self"}),
        ("transformer", SMALL, {"encoder", "decoder", "cross"}),
        ("gpt", SMALL, {"self"}),
    ],
)
def test_an_algorithm_in_each_way_of_asking(system: str, words: list[str], relations: set[str], tmp_path: Path) -> None:
    run = load(solver(tmp_path / "run", system, *words), "cpu")
    found = run.look("3 1 2").manifest
    assert set(found.relations) == relations and (found.input, found.output) == ("3 1 2", run.answer(["3 1 2"])[0])
    labels = next(iter(found.spaces.values())).items
    assert "3 1 2" in " ".join(labels)
    assert bool(found.halting) == (system == "universal") and bool(found.beam) == (system == "transformer")
    assert bool(found.guesses) == (system != "transformer")
    with pytest.raises(UserError, match="'x'"):
        run.look("3 x")


def test_a_shuffle_exchange_network_shows_its_permutations(tmp_path: Path) -> None:
    trace = load(solver(tmp_path / "run", "shuffle_exchange"), "cpu").look("3 1 2 4")
    assert trace.manifest.permutations and trace.manifest.guesses


def test_a_translator_of_two_vocabularies(tmp_path: Path) -> None:
    run = load(translator(tmp_path / "run", joint=False, tie="decoder"), "cpu")
    trace = run.look(INPUTS["translation"], beam=2, length_penalty=0.0)
    assert trace.manifest.output == run.translate(INPUTS["translation"], beam=2, length_penalty=0.0)
