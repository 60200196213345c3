"""How much of a text to hide in pre-training."""

from collections.abc import Sequence

import torch

from allyouneed.data.masking import Masking
from allyouneed.lab.claim import Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.encoders import Text, documents, pretrained
from allyouneed.lab.interval import above, interval
from allyouneed.lab.training import part
from allyouneed.models.bert import BertConfig, masked_lm
from allyouneed.tracing.chart import Line, chart

DIM, SHARES, USUAL = 96, (0.05, 0.15, 0.3, 0.5), 0.15


def measure(trial: Trial) -> Figures:
    """Held-out loss and accuracy of hidden words, always 15 % of them, after training with each share."""
    text = Text.of(documents(trial))
    judged = text.task("none", trial.seed)
    out: dict[str, list[float]] = {"loss": [], "accuracy": []}
    for i, share in enumerate(SHARES):
        torch.manual_seed(trial.seed)
        config = BertConfig(vocab_size=len(text.subwords), dim=DIM, heads=4, ffn_dim=4 * DIM, depth=2,
                            positions_length=64, pair="none")  # fmt: skip
        task = text.task("none", trial.seed, Masking(share=share))
        steps = 8 if trial.quick else 1500
        scores = judged.validate(pretrained(masked_lm(config), task, steps, part(trial.tick, i, len(SHARES)), DIM))
        out["loss"].append(scores["dev_nll"])
        out["accuracy"].append(scores["masked_accuracy"])
    return out


def gains(found: Sequence[Figures]) -> dict[float, list[float]]:
    """By how much each larger share lowers the loss of the usual one."""
    usual = SHARES.index(USUAL)
    return {s: [f["loss"][usual] - f["loss"][i] for f in found] for i, s in enumerate(SHARES) if s > USUAL}


def judge(found: Sequence[Figures]) -> Verdict:
    by_share = gains(found)
    best = max(by_share, key=lambda share: interval(by_share[share]).mean)
    return Verdict(
        above(by_share[best]),
        f"of the larger shares {best:.0%} is best; it lowers the loss of {USUAL:.0%} by {interval(by_share[best])} nats",
    )


def table(found: Sequence[Figures]) -> Table:
    rows = [
        [f"{share:.0%}", *(str(interval([f[key][i] for f in found])) for key in ("loss", "accuracy"))]
        for i, share in enumerate(SHARES)
    ]
    return Table(["hidden in training", f"loss of hidden words ({USUAL:.0%}), nats", "guessed rightly"], rows)


def picture(found: Sequence[Figures]) -> str:
    points = [(share, interval([f["loss"][i] for f in found]).mean) for i, share in enumerate(SHARES)]
    return chart("How much to hide", [Line("loss", points, "blue", dots=True)], "share hidden in training", "nats")


CLAIM = Claim(
    name="masking",
    says="Hiding more than 15 % of the words teaches as well or better, since more is asked of each text.",
    source="Wettig et al. 2023, sections 3 and 4, of BERT's 15 %",
    url="https://arxiv.org/abs/2202.08005",
    paper=Table(["quantity", "paper"], [["masking rate of a large BERT", "40 % is ahead of 15 % after fine-tuning"]]),
    setup=f"A BERT of two layers of width {DIM}, 1,500 updates with each share, no pairs; judged on held-out words of which "
          f"{USUAL:.0%} are hidden; made-up documents, or those that --data names.",
    rule="The best of the larger shares has a lower loss than 15 %, by the whole interval.",
    cost="20 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
