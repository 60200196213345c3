"""Figures and the report: true values, nothing of a user's text taken for markup, nothing loaded from elsewhere."""

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import torch

from allyouneed.data.parallel import ParallelText
from allyouneed.data.subwords import Subwords
from allyouneed.decoding.translate import Translator
from allyouneed.nn.positions import sinusoids
from allyouneed.recipes import translation
from allyouneed.recipes.job import build, make_settings
from allyouneed.settings import to_yaml
from allyouneed.tasks.translation import Vocabulary
from allyouneed.tracing import figures, maps, svg
from allyouneed.tracing.chart import ticks
from allyouneed.tracing.page import write_whole
from allyouneed.tracing.report import Example, picture_of_learning, write_report
from allyouneed.tracing.sections import MOST_CELLS, Map, _affordable, maps_of
from allyouneed.tracing.seeing import card_of
from allyouneed.tracing.sentence import choose_sentence, look_inside
from allyouneed.tracing.words import differing, words

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</svg><style>*{}</style>",
    "&amp;",
    "'\x00\u202e'",
]
METRICS = [
    {"step": 1, "kind": "train", "loss": 9.5, "nll": 9.4, "learning_rate": 1e-5, "tokens_per_second": 900.0, "epoch": 0,
     "seconds": 1.0},
    {"step": 20, "kind": "train", "loss": 4.5, "nll": 4.0, "learning_rate": 2e-4, "tokens_per_second": 1200.0, "epoch": 0,
     "seconds": 9.0},
    {"step": 20, "kind": "dev", "bleu": 12.5, "dev_nll": 4.25, "dev_perplexity": 70.1, "seconds": 11.0},
    {"step": 40, "kind": "train", "loss": float("nan"), "nll": 3.0, "learning_rate": 0.0, "tokens_per_second": 1100.0,
     "epoch": 1, "seconds": 19.0},
    {"step": 40, "kind": "dev", "bleu": 31.25, "dev_nll": 3.5, "dev_perplexity": 33.1, "seconds": 22.0},
    {"step": 40, "kind": "dev", "bleu": 32.75, "dev_nll": 3.4, "weights": "mean of 2 checkpoints", "seconds": 24.0},
]  # fmt: skip


class Tags(HTMLParser):
    """What a browser would find: elements, addresses, and text."""

    def __init__(self, page: str):
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(key, value or "") for key, value in attrs]

    handle_startendtag = handle_starttag

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_safe(page: str) -> None:
    tags = Tags(page)
    assert not {"script", "img", "link", "iframe", "object", "base"} & set(tags.names)
    for key, value in tags.attributes:
        assert not key.startswith("on") and key not in ("src", "srcdoc")
        if key in ("href", "xlink:href"):
            assert value.startswith(("#", "data:image/png;base64,")) or value == "explorer.html"
        assert not re.search(r"https?:|//", value) or key == "xmlns" or value.startswith("data:"), value
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style


class Run:
    """A tiny translator with fresh weights, as `allyouneed.load` would open it."""

    def __init__(self, folder: Path, lines: list[str], *changes: str):
        numbers = ["model.dim=16", "model.heads=2", "model.ffn_dim=32", "model.depth=2", "data.vocab_size=300"]
        settings = make_settings(
            translation.KIND, "transformer", None, "default", [*numbers, "decoding.beam=2", *changes]
        )
        subwords = Subwords.train(lines, "bpe", 300)
        self.vocabulary = Vocabulary(subwords, subwords)
        self.settings = translation.fitted(settings, self.vocabulary)
        self.model = build(translation.KIND, self.settings).eval()
        self.translator = Translator(self.model, *self.vocabulary)
        self.folder = folder
        (folder / "config.yaml").write_text(to_yaml(self.settings))
        (folder / "data.json").write_text(json.dumps({"train": 10, "val": 2, "source": "de", "target": "zh"}))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in METRICS) + '{"step": 41, "ki')


TEXT = ParallelText(
    ["Der Hund schläft im Garten.", "Die Frau liest ein Buch.", "a <b>b</b> & c"],
    ["狗在花园里睡觉。", "女人读一本书。", "x"],
)
SCORES = {"bleu": 31.234, "bleu_low": 29.9, "bleu_high": 32.5, "bleu_lc": 32.0, "chrf": 50.5, "exact_match": 0.25,
          "sentences": 1000, "signature": "nrefs:1|case:mixed", "chrf_signature": "nrefs:1|nc:6"}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path, [*TEXT.source, *TEXT.target])


def report_of(run: Run, scores: dict[str, Any], examples: list[Example]) -> str:
    path = write_report(run, scores, examples)
    assert path == run.folder / "report.html" and not list(run.folder.glob(".*tmp"))
    return path.read_text(encoding="utf-8")


# ---- the report ------------------------------------------------------------------------------------------------------


def test_the_report_of_a_tiny_run_holds_everything(run: Run) -> None:
    examples = [Example(s, t, t[:4]) for s, t in zip(*TEXT, strict=True)]
    page = report_of(run, SCORES, examples)
    assert_safe(page)
    text = Tags(page).text
    for wanted in (
        "from German to Chinese", "31.2", "29.9 to 32.5", "nrefs:1|nc:6", "25.0%", "Loss", "狗在花园里睡觉。",
        "Encoder self-attention", "masked", "Cross-attention", "label_smoothing", "allyouneed translate",
    ):  # fmt: skip
        assert wanted in text, wanted
    assert page.count('class="figure map"') == 3 * 2 * 2  # kinds x layers x heads
    assert "may not look" in page and page.count('id="masked"') == 1
    for anchor in re.findall(r'href="#(\w+)"', page):
        assert f'id="{anchor}"' in page
    explorer = (run.folder / "explorer.html").read_text(encoding="utf-8")
    assert 'href="explorer.html"' in page and '"beam":{"width":2' in explorer


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    run = Run(tmp_path, HOSTILE * 3, "data.path=/x<script>alert(3)</script>")
    examples = [Example(line, line + " one", "two " + line) for line in HOSTILE]
    page = report_of(run, {"bleu": 1.0, "signature": HOSTILE[0]}, examples)
    assert_safe(page)
    assert "\x00" not in page and "\u202e" not in page
    assert HOSTILE[0] in Tags(page).text and "<script" not in page


def test_a_report_without_examples_scores_and_records(run: Run) -> None:
    for name in ("metrics.jsonl", "data.json"):
        (run.folder / name).unlink()
    page = report_of(run, {}, [])
    assert_safe(page)
    assert "recorded no figures" in page and "How good" not in page


def test_long_and_empty_sentences(run: Run) -> None:
    long = " ".join(["Der Hund schläft."] * 100)
    assert "Only the beginning" in report_of(run, SCORES, [Example(long, "x", ""), Example("", "", "")])
    assert_safe(report_of(run, SCORES, [Example("", "", "")]))


@pytest.mark.parametrize("positions", ["learned", "halves", "tensor2tensor"])
def test_all_kinds_of_positions(tmp_path: Path, positions: str) -> None:
    run = Run(tmp_path, TEXT.source, f"model.positions={positions}", "model.positions_length=60")
    text = Tags(report_of(run, SCORES, [Example("Der Hund", "the dog", "the dog")])).text
    assert ("are learned" in text) == (positions == "learned")
    assert "✓ as the reference" in text


def test_a_model_without_attention_gets_a_report_all_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in run.model.modules():
        if hasattr(module, "weights"):
            module.weights = None
    assert "nothing to record" in report_of(run, SCORES, [Example("Der Hund", "the dog", "")])


def test_writing_is_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


# ---- attention -------------------------------------------------------------------------------------------------------


def test_inside_of_a_sentence(run: Run) -> None:
    maps = maps_of(look_inside(run.translator, TEXT.source[0], run.settings.decoding, card_of(run)))
    assert [(m.kind, m.layer) for m in maps] == [(k, n) for k in ("encoder", "decoder", "cross") for n in (1, 2)]
    for m in maps:
        assert m.weights.shape == m.visible.shape == (2, len(m.queries), len(m.keys))
        torch.testing.assert_close(m.weights.sum(-1), torch.ones(2, len(m.queries)))
        assert not m.weights[~m.visible].any()
    encoder, decoder, cross = maps[0], maps[2], maps[4]
    assert "".join(encoder.keys).replace("▁", " ") == " " + TEXT.source[0] + "</s>"
    assert decoder.keys[0] == "<s>" and cross.queries == decoder.queries[1:] + cross.queries[-1:]
    assert torch.equal(decoder.visible[0], torch.ones_like(decoder.visible[0]).tril())


def test_an_attention_map_draws_values_and_masks() -> None:
    weights, visible = torch.tensor([[1.0, 0.0], [0.25, 0.75]]), torch.tensor([[True, False], [True, True]])
    drawn = ET.fromstring(maps.attention_map(weights, ["a", "b"], ["c", "<d>"], "Head 1", visible))
    rects = {rect.find("title").text: rect for rect in drawn.iter("rect")}
    assert set(rects) == {"a → c: 1.0000", "a → <d>: masked, may not look", "b → c: 0.2500", "b → <d>: 0.7500"}
    assert rects["a → c: 1.0000"].get("fill") == svg.CIVIDIS[-1]
    masked = rects["a → <d>: masked, may not look"]
    assert masked.get("class") == "masked" and masked.get("fill") == maps.MASKED


@pytest.mark.parametrize("token", HOSTILE)
def test_hostile_tokens_in_a_map(token: str) -> None:
    drawn = maps.attention_map(torch.ones(1, 1), [token], [token], token)
    names = {element.tag for element in ET.fromstring(drawn).iter()}
    assert names == {"svg", "g", "rect", "text", "title"}


def test_deep_models_are_thinned_out_and_keep_their_last_layer() -> None:
    maps = [Map("encoder", n, torch.zeros(8, 20, 20), torch.zeros(8, 20, 20), [], []) for n in range(1, 41)]
    kept, left_out = _affordable(maps)
    assert left_out and kept[-1].layer == 40 and sum(m.weights.numel() for m in kept) <= MOST_CELLS
    assert _affordable(maps[:2]) == (maps[:2], False) and _affordable([]) == ([], False)


def test_the_chosen_sentence_is_legible(run: Run) -> None:
    assert (
        choose_sentence([" ".join(TEXT.source * 9), "Der Hund schläft."], run.vocabulary.source, 1, 30)
        == "Der Hund schläft."
    )
    assert choose_sentence(["", " "], run.vocabulary.source) is None


# ---- curves, colours, positions --------------------------------------------------------------------------------------


def test_learning_curves_from_hand_made_metrics() -> None:
    drawn = figures.learning_curves(METRICS)
    assert list(drawn) == ["loss", "bleu", "learning_rate", "speed"]
    says = {name: [t.text for t in ET.fromstring(markup).iter("title")] for name, markup in drawn.items()}
    assert says["bleu"] == ["dev: 12.5 at 20", "dev: 31.25 at 40", "at the end: 32.75 at 40"]
    assert "train: 3 at 40" in says["loss"] and not any("nan" in said for said in says["loss"])
    assert says["learning_rate"] == [
        "learning rate: 1e-05 at 1",
        "learning rate: 0.0002 at 20",
        "learning rate: 0 at 40",
    ]
    assert figures.learning_curves([]) == {}


def test_one_point_and_many_points() -> None:
    assert "polyline" not in figures.learning_curves(METRICS[:1])["loss"]
    many = [{**METRICS[0], "step": i} for i in range(1, 20_001)]
    drawn = figures.learning_curves(many)["speed"]
    assert len(drawn) < 100_000 and "at 20,000" in drawn


def test_the_picture_of_learning_is_a_file_of_its_own(run: Run) -> None:
    picture_of_learning(run.folder)
    root = ET.parse(run.folder / "learning_curve.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and len(root.findall("{*}svg")) == 4
    (run.folder / "metrics.jsonl").unlink()
    picture_of_learning(run.folder)
    ET.parse(run.folder / "learning_curve.svg")


def test_ticks_are_round_and_cover() -> None:
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    for low, high in ((0.0, 0.0015), (2.1, 9.5), (-63.0, 40.0), (1.0, 123_456.0)):
        found = ticks(low, high)
        assert found[0] <= low and found[-1] >= high and 3 <= len(found) <= 9


def test_colours_are_cividis() -> None:
    cividis = matplotlib.colormaps["cividis"]
    for i in range(101):
        ours = [int(svg.colour(i / 100)[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        assert max(abs(a - b) for a, b in zip(ours, cividis(i / 100)[:3], strict=True)) < 0.05


def test_position_figures() -> None:
    for layout in ("interleaved", "halves", "tensor2tensor"):
        assert figures.depends_on_distance(sinusoids(64, 32, layout))
    codes = sinusoids(64, 32)
    assert not figures.depends_on_distance(torch.randn(64, 32))
    assert not figures.depends_on_distance(torch.randn(2, 32))
    assert "data:image/png;base64," in figures.position_table(codes)
    drawn = figures.position_products(codes)
    assert drawn.count(": 16 at 0<") == 3  # the square of a code of width 32 is 16, wherever it stands


# ---- words -----------------------------------------------------------------------------------------------------------


def test_differing_words_are_marked() -> None:
    assert differing("A dog <runs>.", "A cat <runs>.") == (
        "A <mark>dog</mark> &lt;runs&gt;.",
        "A <mark>cat</mark> &lt;runs&gt;.",
    )
    assert differing("我喜欢狗。", "我喜欢猫。") == ("我喜欢<mark>狗</mark>。", "我喜欢<mark>猫</mark>。")
    assert differing("", "two words") == ("", "<mark>two words</mark>")
    assert differing("same", "same") == ("same", "same")


@pytest.mark.parametrize("line", ["Don't stop, 3.5 % — 你好 world! ", "\tก็ได้ a_b 𠀀x", ""])
def test_words_joined_are_the_text(line: str) -> None:
    assert "".join(words(line)) == line
