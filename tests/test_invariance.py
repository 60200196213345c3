"""A sentence's translation depends on nothing but the sentence: alone, in any batch, in any order, cached or not.

Shown on real sentences (Multi30k) with a model trained just enough for its outputs to vary.
"""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from allyouneed.data.parallel import ParallelText, read_corpus
from allyouneed.data.subwords import Subwords
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.decoding.translate import Translator
from allyouneed.models.transformer import TransformerConfig, transformer
from allyouneed.nn.frames import EncoderDecoder
from allyouneed.tasks.translation import Learning, TranslationTask, Vocabulary

DATA = Path(__file__).parents[2] / "shared" / "data" / "multi30k"
SENTENCES = 48


class Uncached:
    """The same model as `init_cache` and `step` would have it without caches: each step reads everything again."""

    def __init__(self, model: EncoderDecoder):
        self.model = model

    def eval(self) -> None:
        self.model.eval()

    def parameters(self):  # type: ignore[no-untyped-def]
        return self.model.parameters()

    def init_cache(self, source: Tensor) -> tuple[Tensor, Tensor]:
        return source, source[:, :0]

    def step(self, ids: Tensor, cache: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        source, past = cache
        past = torch.cat([past, ids[:, None]], dim=1)
        return self.model(source, past)[:, -1], (source, past)


@pytest.fixture(scope="module")
def trained() -> tuple[Translator, list[str]]:
    if not DATA.is_dir():
        pytest.skip(f"Multi30k is not at {DATA}")
    corpus = read_corpus(DATA, "de", "en")
    train = ParallelText(corpus.train.source[:1500], corpus.train.target[:1500])
    subwords = Subwords.train([*train.source, *train.target], "bpe", 1500)
    task = TranslationTask(
        train, corpus.val, Vocabulary(subwords, subwords), Learning(batch_tokens=3000), DecodingSettings()
    )
    torch.manual_seed(3)
    model = transformer(TransformerConfig(vocab_size=len(subwords), dim=64, ffn_dim=128, depth=2, dropout=0.0))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(8):
        for rows in task.plan(epoch):
            loss, _ = task.loss(model, task.collate(rows, epoch), "model")
            (loss / task.weight(rows, epoch)).backward()
            optimizer.step()
            optimizer.zero_grad()
    return Translator(model, subwords, subwords), corpus.tests["test_2016_flickr"].source[:SENTENCES]


@pytest.mark.parametrize("beam", [1, 5])
def test_alone_as_in_any_batch(trained: tuple[Translator, list[str]], beam: int) -> None:
    translator, lines = trained
    together = translator.n_best(lines, DecodingSettings(beam=beam, batch_tokens=100_000))
    small = translator.n_best(lines, DecodingSettings(beam=beam, batch_tokens=200))
    alone = [translator.n_best([line], DecodingSettings(beam=beam))[0] for line in lines]
    backwards = translator.n_best(lines[::-1], DecodingSettings(beam=beam, batch_tokens=700))[::-1]
    wanted = [t[0].ids for t in together]
    assert len({tuple(ids) for ids in wanted}) > SENTENCES // 2, (
        "the model says the same of all: the test proves nothing"
    )
    for other in (small, alone, backwards):
        assert [t[0].ids for t in other] == wanted


@pytest.mark.parametrize("beam", [1, 5])
def test_cached_as_uncached(trained: tuple[Translator, list[str]], beam: int) -> None:
    translator, lines = trained
    settings = DecodingSettings(beam=beam)
    plain = Translator(Uncached(translator.model), translator.source, translator.target)
    cached = translator.n_best(lines[:16], settings)
    assert [t[0].ids for t in plain.n_best(lines[:16], settings)] == [t[0].ids for t in cached]


def test_the_score_of_a_translation_is_the_score_of_that_text_as_a_reference(
    trained: tuple[Translator, list[str]],
) -> None:
    translator, lines = trained
    found = translator.n_best(lines[:8], DecodingSettings(beam=4))
    by_text = translator.score(lines[:8], [t[0].text for t in found])
    for (best, *_), log_prob in zip(found, by_text):
        if (
            translator.target.encode([best.text])[0] == best.ids
        ):  # a text may be spelled in other pieces than were chosen
            assert log_prob == pytest.approx(best.log_prob, abs=2e-3)
