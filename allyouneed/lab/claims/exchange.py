"""A Residual Shuffle-Exchange network learns an algorithm, not a length; and what it keeps in memory."""

from collections.abc import Sequence

import torch

from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.claims.complexity import slope
from allyouneed.lab.interval import above, interval, together, within
from allyouneed.lab.memory import PlainAttention, saved_bytes
from allyouneed.lab.training import train
from allyouneed.models.residual_shuffle_exchange import ResidualShuffleExchangeConfig, tagger
from allyouneed.nn.attention import Attend, SelfAttention
from allyouneed.nn.layer import Context
from allyouneed.nn.shuffle import LengthNorm, ResidualSwitchUnit, ShuffleExchange
from allyouneed.tasks.algorithm import AlgorithmTask, Practice
from allyouneed.tasks.algorithm_forms import InPlace
from allyouneed.tracing.chart import Line, chart
from allyouneed.training.settings import TrainingSettings

DIM, LONGEST, TIMES = 48, 32, (1, 2, 4, 8)
MEMORY = (256, 512, 1024, 2048)


def measure(trial: Trial) -> Figures:
    """Symbols reversed rightly at up to eight times the training length; bytes kept by layer and length."""
    practice = Practice("reverse", LONGEST, batch=32, cases=64 if trial.quick else 256, seed=trial.seed)
    task = AlgorithmTask(practice, InPlace())
    model = tagger(ResidualShuffleExchangeConfig(vocab_size=task.problem.vocab_size, dim=DIM, dropout=0.0))
    settings = TrainingSettings(
        max_steps=20 if trial.quick else 2000, learning_rate=3e-3, warmup_steps=50, ema_decay=0.0, label_smoothing=0.0,
        weight_decay=0.0, threads=1, precision="float32", seed=trial.seed,
    )  # fmt: skip
    train(model, task, settings, lambda share: trial.tick(0.9 * share), DIM)
    found = task.by_length(model, [LONGEST * times for times in TIMES])
    lengths = MEMORY[:2] if trial.quick else MEMORY
    exchange = ShuffleExchange(1, lambda linked: ResidualSwitchUnit(64, LengthNorm))
    attention = SelfAttention(64, 4, Attend(0.0))
    return {
        "symbols": [found[LONGEST * times].symbols for times in TIMES],
        "exact": [found[LONGEST * times].exact for times in TIMES],
        "exchange memory": slope(lengths, [kept(exchange, n) for n in lengths]),
        "attention memory": slope(lengths, [kept(PlainAttention(attention), n) for n in lengths]),
    }


def kept(layer: torch.nn.Module, n: int) -> float:
    return saved_bytes(layer, torch.randn(1, n, 64, requires_grad=True), Context())


def judge(found: Sequence[Figures]) -> Verdict:
    far = [f["symbols"][-1] for f in found]
    exchange, attention = ([f[f"{name} memory"] for f in found] for name in ("exchange", "attention"))
    word = together([above(far, 0.9), within(exchange, 0.9, 1.25), above(attention, 1.5)])
    return Verdict(
        word,
        f"trained on up to {LONGEST} symbols, {interval(far)} of the symbols are right at {LONGEST * TIMES[-1]}; bytes kept "
        f"grow as n^{interval(exchange).mean:.2f}, those of attention by its equation as n^{interval(attention).mean:.2f}",
    )


def table(found: Sequence[Figures]) -> Table:
    rows = [
        [
            str(LONGEST * times),
            str(interval([f["symbols"][i] for f in found])),
            str(interval([f["exact"][i] for f in found])),
        ]
        for i, times in enumerate(TIMES)
    ]
    return Table(["length (trained to 32)", "symbols right", "whole answers right"], rows)


def picture(found: Sequence[Figures]) -> str:
    def points(name: str) -> list[tuple[float, float]]:
        return [(float(LONGEST * t), interval([f[name][i] for f in found]).mean) for i, t in enumerate(TIMES)]

    lines = [Line("symbols", points("symbols"), "blue", dots=True), Line("whole", points("exact"), "orange", dots=True)]
    return chart("Reversing beyond the training length", lines, "length", "share right", zero=True)


CLAIM = Claim(
    name="exchange",
    says="A Residual Shuffle-Exchange network trained on short sequences works on ones eight times as long, and its memory "
         "grows as n log n where attention's grows as n².",
    source="Draguns et al. 2021, sections 4.1 and 4.5",
    url="https://arxiv.org/abs/2004.04662",
    paper=Table(["task", "trained to", "tested at", "accuracy"], [["duplication, reversal", "64", "512", "100 %"],
                                                                 ["addition", "64", "512", "97 to 99 %"],
                                                                 ["sorting", "64", "512", "96 to 97 %"]]),
    setup=f"Reversal of up to {LONGEST} symbols, width {DIM}, one Beneš block, 2,000 updates of 32 sequences; tested at up "
          "to eight times that length. The paper's figures are of its reference code's curves.",
    rule="At eight times the training length more than 90 % of the symbols are right; bytes kept grow with an exponent of "
         "0.9 to 1.25, those of attention with more than 1.5.",
    cost="15 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
