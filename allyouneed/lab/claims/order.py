"""Sandwich Transformers: the same sublayers in another order."""

from collections.abc import Sequence

import numpy as np
import torch

from allyouneed.data.grammar import generate
from allyouneed.data.running_pieces import RunningPieces
from allyouneed.data.running_text import read_running_text
from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.interval import above, interval
from allyouneed.lab.training import part, train
from allyouneed.models.gpt import GPTConfig, gpt
from allyouneed.nn.stack import sandwich
from allyouneed.tasks.language_model import HeldOut, LanguageModelTask, read
from allyouneed.tracing.chart import Line, chart
from allyouneed.training.settings import TrainingSettings

LAYERS, DEPTHS, DIM, LENGTH = 6, (0, 1, 2, 3, 5), 96, 64


def texts(trial: Trial) -> tuple[str, str]:
    """A language to model: the text that `--data` names, else the sentences of the embedded grammar."""
    if trial.data is not None:
        text = read_running_text(trial.data)
        return "\n".join(text.train), "\n".join(text.val)[:200_000]
    corpus = generate("de-en")
    lines = corpus.train.source[: 3000 if trial.quick else 30_000]
    return "\n".join(lines), "\n".join(corpus.val.source)


def measure(trial: Trial) -> Figures:
    """Bits per character of each sandwich of the same sublayers, and their parameters."""
    train_text, val_text = texts(trial)
    pieces = RunningPieces.learn([train_text], "characters", 0)
    train_ids, val_ids = pieces.encode_documents([train_text]), pieces.encode_documents([val_text])
    held_out = HeldOut.of(val_ids, [val_text])
    task = LanguageModelTask(train_ids, HeldOut(val_ids[:2000], 2000, 2000), LENGTH, 2048, trial.seed)
    settings = TrainingSettings(
        max_steps=8 if trial.quick else 700, learning_rate=2e-3, warmup_steps=100, ema_decay=0.0, label_smoothing=0.0,
        threads=1, seed=trial.seed,
    )  # fmt: skip
    out: dict[str, list[float]] = {"bits": [], "parameters": []}
    for i, k in enumerate(DEPTHS):
        torch.manual_seed(trial.seed)
        numbers = dict(vocab_size=len(pieces), dim=DIM, heads=4, ffn_dim=4 * DIM, dropout=0.0)
        model = train(gpt(GPTConfig(order=sandwich(LAYERS, k), **numbers)), task, settings,
                      part(trial.tick, i, len(DEPTHS)), DIM)  # fmt: skip
        ids = val_ids[: 5_000 if trial.quick else 60_000]
        scores = read(model, ids, LENGTH, LENGTH // 2)
        out["bits"].append(scores.nll / scores.tokens / float(np.log(2)))
        out["parameters"].append(sum(p.numel() for p in model.parameters()))
    return {**out, "characters": held_out.characters}


def judge(found: Sequence[Figures]) -> Verdict:
    gains = {k: [f["bits"][0] - f["bits"][i] for f in found] for i, k in enumerate(DEPTHS) if k}
    best = max(gains, key=lambda k: interval(gains[k]).mean)
    return Verdict(
        above(gains[best]),
        f"of the sandwiches k = {best} is best, {interval(gains[best])} bits per character better than interleaved, at "
        "equal parameters",
    )


def table(found: Sequence[Figures]) -> Table:
    rows = [
        [
            str(k),
            f"`{sandwich(LAYERS, k)}`",
            str(interval([f["bits"][i] for f in found])),
            f"{found[0]['parameters'][i]:,}",
        ]
        for i, k in enumerate(DEPTHS)
    ]
    return Table(["k", "order", "bits per character", "parameters"], rows)


def picture(found: Sequence[Figures]) -> str:
    points = [(float(k), interval([f["bits"][i] for f in found]).mean) for i, k in enumerate(DEPTHS)]
    return chart("Sandwiches of the same sublayers", [Line("bits per character", points, "blue", dots=True)],
                 "sandwich coefficient k", "bits per character")  # fmt: skip


CLAIM = Claim(
    name="order",
    says="Attention gathered at the bottom and feed-forward at the top improves a language model at no cost; the gain is "
         "small and noisy.",
    source="Press et al. 2020, section 4, tables 2 and 3",
    url="https://arxiv.org/abs/1911.03864",
    paper=Table(["model", "test"], [["interleaved baseline, WikiText-103 (5 seeds)", "18.63 perplexity on average"],
                                    ["sandwich, k = 6", "17.96 perplexity"],
                                    ["enwik8: baseline, sandwich", "0.977, 0.968 bits per character"]]),
    setup=f"Character models of {LAYERS} attention and {LAYERS} feed-forward sublayers, width {DIM}, 700 updates of 2,048 "
          "characters on the embedded grammar's German (or on --data FILE).",
    rule="The best sandwich is better than the interleaved order by the whole interval over seeds. That the best k is "
         "chosen on the same figures favours the claim.",
    cost="20 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
