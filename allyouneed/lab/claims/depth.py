"""Recurrence in depth against layers of their own, on lengths that were never trained."""

from collections.abc import Sequence

import torch

from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.interval import above, interval
from allyouneed.lab.training import part, train
from allyouneed.models.transformer import TransformerConfig, transformer
from allyouneed.models.universal import UniversalConfig, translator
from allyouneed.nn.frames import EncoderDecoder
from allyouneed.nn.pondering import Steps
from allyouneed.tasks.algorithm import AlgorithmTask, Practice
from allyouneed.tasks.algorithm_forms import Aside
from allyouneed.tracing.chart import Line, chart
from allyouneed.training.settings import TrainingSettings

LONGEST, LENGTHS = 16, (8, 16, 20, 24, 32)
NAMES = ("universal", "plain")


def measure(trial: Trial) -> Figures:
    """Symbols copied rightly by length, and the steps that the adaptive model takes by length."""
    practice = Practice("copy", LONGEST, batch=64, cases=16 if trial.quick else 128, seed=trial.seed)
    task = AlgorithmTask(practice, Aside())
    words = task.problem.vocab_size
    numbers = dict(vocab_size=words, dim=64, heads=4, ffn_dim=128, dropout=0.0)
    models: dict[str, EncoderDecoder] = {
        "universal": translator(UniversalConfig(**numbers, steps=4, halting="basic")),
        "plain": transformer(TransformerConfig(**numbers, depth=4)),
    }
    settings = TrainingSettings(
        max_steps=10 if trial.quick else 3000, learning_rate=2e-3, warmup_steps=100, ema_decay=0.0, label_smoothing=0.0,
        weight_decay=0.0, threads=1, precision="float32", seed=trial.seed,
    )  # fmt: skip
    out: dict[str, object] = {}
    lengths = LENGTHS[:2] if trial.quick else LENGTHS
    for i, (name, model) in enumerate(models.items()):
        train(model, task, settings, part(trial.tick, i, 2), 64)
        out[name] = [task.by_length(model, [n])[n].symbols for n in lengths]
        out[f"{name} parameters"] = sum(p.numel() for p in model.parameters())
    out["steps"] = [steps_taken(models["universal"], task, n) for n in lengths]
    return {"lengths": list(lengths), **out}


@torch.no_grad()
def steps_taken(model: EncoderDecoder, task: AlgorithmTask, length: int) -> float:
    """The mean number of steps of the encoder's places."""
    seen: list[torch.Tensor] = []
    module = next(m for m in model.encoder.modules() if isinstance(m, Steps))
    handle = module.register_forward_hook(lambda _, __, steps: seen.append(steps))
    asked = task.asked("test", range(8), [length] * 8)
    model.encode(task.form.batch(asked)[0])
    handle.remove()
    return float(torch.cat([steps.flatten().float() for steps in seen]).mean())


def judge(found: Sequence[Figures]) -> Verdict:
    ahead = [f["universal"][-1] - f["plain"][-1] for f in found]
    longest = found[0]["lengths"][-1]
    return Verdict(
        above(ahead),
        f"trained on up to {LONGEST} symbols, at {longest} the Universal Transformer has {interval(ahead)} more of the "
        "symbols right than a plain one of the same width and depth",
    )


def table(found: Sequence[Figures]) -> Table:
    rows = [
        [
            str(n),
            *(str(interval([f[name][i] for f in found])) for name in NAMES),
            str(interval([f["steps"][i] for f in found])),
        ]
        for i, n in enumerate(found[0]["lengths"])
    ]
    return Table(["length (trained to 16)", "universal, symbols right", "plain", "steps per place"], rows)


def picture(found: Sequence[Figures]) -> str:
    lines = [
        Line(name, [(float(n), interval([f[name][i] for f in found]).mean) for i, n in enumerate(found[0]["lengths"])],
             colour, dots=True)
        for name, colour in zip(NAMES, ("blue", "orange"), strict=True)
    ]  # fmt: skip
    return chart("Copying beyond the training length", lines, "length", "symbols right", zero=True)


CLAIM = Claim(
    name="depth",
    says="Recurrence in depth generalises to longer sequences better than layers of their own.",
    source="Dehghani et al. 2019, section 3.3, table 4",
    url="https://arxiv.org/abs/1807.03819",
    paper=Table(["model, trained to 40 and tested at 400", "copy: symbols right", "reverse", "addition"],
                [["Universal Transformer", "0.91", "0.96", "0.34"], ["Transformer", "0.53", "0.13", "0.07"],
                 ["LSTM", "0.45", "0.66", "0.08"]]),
    setup=f"Copying up to {LONGEST} digits, width 64, four steps against four layers a side, 3,000 updates of 64; tested at "
          "up to twice that length. The Universal Transformer halts by itself (ACT).",
    rule="At twice the training length the share of right symbols is higher, by the whole interval.",
    cost="30 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
