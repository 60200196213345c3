"""Why several heads: one head looks at the word itself too much."""

from collections.abc import Sequence

import numpy as np
import torch

from allyouneed.data.grammar import generate
from allyouneed.data.parallel import ParallelText
from allyouneed.data.subwords import Subwords
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.interval import above, interval
from allyouneed.lab.training import part, train
from allyouneed.models.transformer import TransformerConfig, transformer
from allyouneed.nn.frames import EncoderDecoder
from allyouneed.tasks.translation import EncodedText, Learning, TranslationTask, Vocabulary
from allyouneed.tracing.chart import Line, chart
from allyouneed.tracing.record import record
from allyouneed.training.settings import TrainingSettings

HEADS, DIM, DEPTH = (1, 4, 8), 128, 2


def measure(trial: Trial) -> Figures:
    """Of each number of heads: the attention that words pay to themselves, and how unlike the heads' maps are."""
    corpus = generate("de-en")
    rows = 2000 if trial.quick else 20_000
    text = ParallelText(corpus.train.source[:rows], corpus.train.target[:rows])
    subwords = Subwords.train([*text.source, *text.target], "bpe", 1500)
    vocabulary = Vocabulary(subwords, subwords)
    held_out = ParallelText(corpus.val.source[:64], corpus.val.target[:64])
    learning = Learning(batch_tokens=2048, seed=trial.seed)
    task = TranslationTask(text, held_out, vocabulary, learning, DecodingSettings(beam=1, fit_length_penalty=False))
    settings = TrainingSettings(
        max_steps=8 if trial.quick else 800, learning_rate=3e-3, warmup_steps=100, ema_decay=0.0, threads=1,
        seed=trial.seed,
    )  # fmt: skip
    out: dict[str, dict[str, float]] = {}
    for i, heads in enumerate(HEADS):
        torch.manual_seed(trial.seed)
        numbers = dict(vocab_size=len(subwords), dim=DIM, heads=heads, ffn_dim=256, depth=DEPTH, dropout=0.05)
        model = train(transformer(TransformerConfig(**numbers)), task, settings, part(trial.tick, i, len(HEADS)), DIM)
        out[str(heads)] = {
            **looked(model, EncodedText.of(held_out, vocabulary)),
            "nll": task.validate(model)["dev_nll"],
        }
    return out


@torch.no_grad()
def looked(model: EncoderDecoder, text: EncodedText) -> dict[str, float]:
    """Means over real words of the encoder's self-attention: weight on the word itself, and distance between heads.

    The distance of two heads is half the sum of absolute differences of their rows, 0 for equal maps and 1 for maps
    that share no word.
    """
    source = torch.from_numpy(text.source.padded(np.arange(len(text.source)), after=[2]))
    with record(model) as seen:
        model.encode(source)
    real = (source != 0).float()  # b n
    own, apart = [], []
    for weights in seen.maps().values():  # b h n n
        diagonal = weights.float().diagonal(dim1=-2, dim2=-1).mean(1)  # b n
        own.append(float((diagonal * real).sum() / real.sum()))
        heads = weights.shape[1]
        if heads > 1:
            pairs = (weights[:, :, None] - weights[:, None]).abs().sum(-1) / 2  # b h h n
            mean = pairs.sum((1, 2)) / (heads * (heads - 1))
            apart.append(float((mean * real).sum() / real.sum()))
    return {"own": sum(own) / len(own), "apart": sum(apart) / len(apart) if apart else 0.0}


def judge(found: Sequence[Figures]) -> Verdict:
    gain = [f["1"]["own"] - f[str(HEADS[-1])]["own"] for f in found]
    return Verdict(
        above(gain),
        f"one head gives {interval([f['1']['own'] for f in found])} of its weight to the word itself, "
        f"{HEADS[-1]} heads {interval([f[str(HEADS[-1])]['own'] for f in found])}; the difference is {interval(gain)}",
    )


def table(found: Sequence[Figures]) -> Table:
    def cell(heads: int, name: str) -> str:
        return str(interval([figures[str(heads)][name] for figures in found]))

    header = ["heads", "weight on the word itself", "distance between heads", "dev loss, nats"]
    return Table(header, [[str(h), cell(h, "own"), cell(h, "apart"), cell(h, "nll")] for h in HEADS])


def picture(found: Sequence[Figures]) -> str:
    lines = [
        Line(name, [(float(h), interval([f[str(h)][key] for f in found]).mean) for h in HEADS], colour, dots=True)
        for name, key, colour in (("on the word itself", "own", "blue"), ("distance between heads", "apart", "orange"))
    ]
    return chart("Where the encoder looks", lines, "heads", "share of the weight", zero=True)


CLAIM = Claim(
    name="heads",
    says="A single head attends to the word itself too much; several heads spread over different places.",
    source="Vaswani et al. 2017, section 3.2.2, and the common reading of it in study notes",
    url="https://arxiv.org/abs/1706.03762",
    paper=Table(["quantity", "paper"], [["with a single head", "averaging inhibits attending to several places at once"],
                                        ["1 head against 8, BLEU (table 3, row A)", "24.9 against 25.8"]]),
    setup=f"Translators of the embedded grammar, width {DIM}, two layers a side, 800 updates; the encoder's self-attention "
          "over 64 held-out sentences.",
    rule=f"One head puts more weight on the word itself than {HEADS[-1]} heads do on average, by the whole interval.",
    cost="10 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
