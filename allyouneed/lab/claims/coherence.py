"""Next sentence against sentence order: what each of the two teaches, scored on both."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.encoders import Text, documents, pretrained
from allyouneed.lab.interval import above, interval, together
from allyouneed.lab.training import part
from allyouneed.models.bert import BertConfig, masked_lm
from allyouneed.nn.encoder_heads import MaskedLanguageModel
from allyouneed.tasks.masked_lm import MaskedLMTask
from allyouneed.tracing.chart import Line, chart

DIM, RIDGE = 96, 1e-2
TASKS = ("next-sentence", "sentence-order")


def measure(trial: Trial) -> Figures:
    """Accuracy of a linear probe on the frozen vector of [CLS], for both questions, after training on each."""
    text, out = Text.of(documents(trial)), {}
    for i, taught in enumerate(TASKS):
        torch.manual_seed(trial.seed)
        config = BertConfig(vocab_size=len(text.subwords), dim=DIM, heads=4, ffn_dim=4 * DIM, depth=2,
                            positions_length=64)  # fmt: skip
        task = text.task(taught, trial.seed)
        model = pretrained(masked_lm(config), task, 8 if trial.quick else 2500, part(trial.tick, i, 2), DIM)
        for asked in TASKS:
            out[f"{taught} on {asked}"] = probed(model, text.task(asked, trial.seed + 1000))
    return out


def probed(model: MaskedLanguageModel, task: MaskedLMTask, most: int = 6000) -> float:
    """Held-out accuracy of ridge regression from the pooled vector to the two answers."""
    (x, y), (new, wanted) = (vectors(model, task, rows[:most]) for rows in (task.train.made(1, 0), task.val.made(1, 0)))
    centre = x.mean(0)
    x, new = (torch.cat([side - centre, torch.ones(len(side), 1)], -1) for side in (x, new))
    weights = torch.linalg.solve(x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1]), x.T @ (2 * y.float() - 1))
    return float(((new @ weights > 0) == (wanted == 1)).float().mean())


@torch.no_grad()
def vectors(model: MaskedLanguageModel, task: MaskedLMTask, rows: Sequence[object]) -> tuple[Tensor, Tensor]:  # n d, n
    """Pooled vectors of pairs whose words are all shown, and the right answers."""
    found = []
    for start in range(0, len(rows), 256):
        part_of = rows[start : start + 256]
        batch = task.batch(part_of, [np.random.default_rng(0)] * len(part_of))  # type: ignore[arg-type]
        shown = torch.where(batch.words >= 0, batch.words, batch.ids)
        found.append((model.pool(model.encode(shown, batch.segments)).float(), batch.pairs))
    return torch.cat([x for x, _ in found]), torch.cat([y for _, y in found])


def judge(found: Sequence[Figures]) -> Verdict:
    own = [f["sentence-order on sentence-order"] - f["next-sentence on sentence-order"] for f in found]
    other = [f["sentence-order on next-sentence"] - 0.5 for f in found]
    return Verdict(
        together([above(own), above(other)]),
        f"asked for the order, the model taught it is ahead by {interval(own)} of the pairs; asked for the next sentence, "
        f"it is {interval(other)} above chance",
    )


def table(found: Sequence[Figures]) -> Table:
    rows = [[f"taught {a}", *(str(interval([f[f"{a} on {b}"] for f in found])) for b in TASKS)] for a in TASKS]
    return Table(["accuracy", *(f"asked {name}" for name in TASKS)], rows)


def picture(found: Sequence[Figures]) -> str:
    lines = [
        Line(f"taught {a}", [(float(i), interval([f[f"{a} on {b}"] for f in found]).mean) for i, b in enumerate(TASKS)],
             colour, dots=True)
        for a, colour in zip(TASKS, ("orange", "blue"), strict=True)
    ]  # fmt: skip
    return chart("What each question teaches", lines, "asked: 0 next sentence, 1 order", "accuracy", zero=True)


CLAIM = Claim(
    name="coherence",
    says="Learning the order of sentences teaches what the next-sentence question teaches and more; the reverse is not so.",
    source="Lan et al. 2020, section 4.6, table 5",
    url="https://arxiv.org/abs/1909.11942",
    paper=Table(["accuracy", "asked next sentence", "asked order"],
                [["taught next sentence", "not quoted", "52.0"], ["taught order", "78.9", "86.5"]]),
    setup=f"A BERT of two layers of width {DIM}, 2,500 updates of each pre-training; then a linear probe (ridge regression) "
          "on the frozen vector of [CLS] for both questions; made-up documents with a topic and a clock, or those that "
          "--data names.",
    rule="On order, the model taught order is ahead by the whole interval; on the next sentence it is above chance by the "
         "whole interval.",
    cost="15 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
