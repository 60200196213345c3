"""The Transformer against what it replaced, at equal parameters and equal time."""

from collections.abc import Sequence

import torch
from torch import nn

from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.interval import above, interval, together
from allyouneed.lab.training import part, train
from allyouneed.lab.translation import lesson
from allyouneed.models.conv import ConvConfig, conv
from allyouneed.models.rnn import RNNConfig, rnn
from allyouneed.models.transformer import TransformerConfig, transformer
from allyouneed.tracing.chart import Line, chart
from allyouneed.training.settings import TrainingSettings

MINUTES, DIM = 3.0, 192
NAMES = {"transformer": "Transformer", "rnn": "LSTM with attention", "conv": "ConvS2S"}


def model_of(name: str, words: int) -> nn.Module:
    """About 3.2 million parameters each, with 4,000 pieces."""
    numbers = dict(vocab_size=words, dim=DIM, dropout=0.2)
    if name == "transformer":
        return transformer(TransformerConfig(**numbers, heads=4, ffn_dim=512, depth=3))
    return rnn(RNNConfig(**numbers, hidden_dim=288)) if name == "rnn" else conv(ConvConfig(**numbers, depth=4))


def measure(trial: Trial) -> Figures:
    """BLEU and loss of each after the same time, and the updates that it had time for."""
    given = lesson(trial)
    task = given.task(trial.seed)
    settings = TrainingSettings(
        max_minutes=0.05 if trial.quick else MINUTES, learning_rate=2e-3, warmup_steps=100, ema_decay=0.99, threads=1,
        seed=trial.seed,
    )  # fmt: skip
    out: dict[str, object] = {"data": "the embedded grammar" if trial.data is None else trial.data.name}
    for i, name in enumerate(NAMES):
        torch.manual_seed(trial.seed)
        model = train(model_of(name, len(given.subwords)), task, settings, part(trial.tick, i, len(NAMES)), DIM)
        scores = task.validate(model, quick=True)
        count = sum(parameter.numel() for parameter in model.parameters())
        out[name] = {"bleu": scores["bleu"], "nll": scores["dev_nll"], "parameters": count}
    return out


def judge(found: Sequence[Figures]) -> Verdict:
    gains = {name: [f["transformer"]["bleu"] - f[name]["bleu"] for f in found] for name in ("rnn", "conv")}
    shown = ", ".join(f"{interval(gain)} of {NAMES[name]}" for name, gain in gains.items())
    return Verdict(together([above(gain) for gain in gains.values()]), f"the Transformer's BLEU is ahead by {shown}")


def table(found: Sequence[Figures]) -> Table:
    def cell(name: str, what: str) -> str:
        return str(interval([figures[name][what] for figures in found]))

    rows = [[shown, f"{found[0][name]['parameters']:,}", cell(name, "bleu"), cell(name, "nll")]
            for name, shown in NAMES.items()]  # fmt: skip
    return Table([f"model, on {found[0]['data']}", "parameters", "BLEU (greedy)", "loss, nats per piece"], rows)


def picture(found: Sequence[Figures]) -> str:
    lines = [
        Line(NAMES[name], [(float(i), f[name]["bleu"]) for i, f in enumerate(found, 1)], colour, dots=True)
        for name, colour in zip(NAMES, ("blue", "orange", "green"), strict=True)
    ]
    return chart("After the same time", lines, "seed", "BLEU on the dev set", zero=True)


CLAIM = Claim(
    name="rivals",
    says="The Transformer translates better than recurrent and convolutional models, and trains faster.",
    source="Vaswani et al. 2017, section 6.1, table 2",
    url="https://arxiv.org/abs/1706.03762",
    paper=Table(["model", "En-De BLEU", "En-Fr BLEU", "training cost, FLOPs"], [
        ["Transformer (base)", "27.3", "38.1", "3.3e18"],
        ["GNMT + RL (recurrent)", "24.6", "39.92", "2.3e19"],
        ["ConvS2S", "25.16", "40.46", "9.6e18"],
    ]),
    setup=f"About 3.2 million parameters and {MINUTES:g} minutes of one core each, the same batches and schedule, on the "
          "embedded grammar or on the parallel text of --data (Multi30k).",
    rule="The Transformer's greedy BLEU on the dev set is higher than that of both others, by the whole interval.",
    cost="30 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
