"""ALBERT: layers that share their weights, and tables that are narrower than the layers."""

from collections.abc import Sequence

import torch

from allyouneed.lab.claim import FAILS, HOLDS, Claim, Figures, Table, Trial, Verdict
from allyouneed.lab.encoders import Text, documents, pretrained
from allyouneed.lab.interval import above, interval, together
from allyouneed.lab.training import part
from allyouneed.models.albert import PRESETS, AlbertConfig, masked_lm
from allyouneed.tracing.chart import Line, chart

DIM, DEPTH, NARROW, BEARABLE = 96, 4, 24, 0.02
VARIANTS = {
    "layers of their own, wide table": {"groups": DEPTH, "embedding_dim": DIM},
    "layers of their own, narrow table": {"groups": DEPTH, "embedding_dim": NARROW},
    "shared layers, wide table": {"groups": 1, "embedding_dim": DIM},
    "shared layers, narrow table": {"groups": 1, "embedding_dim": NARROW},
}
DEPTHS = (1, 2, 4, 8, 12, 24)


def parameters(config: AlbertConfig) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in masked_lm(config).parameters())


def measure(trial: Trial) -> Figures:
    """Parameters by depth, and the held-out loss of hidden words with and without sharing and a narrow table."""
    text = Text.of(documents(trial))
    task = text.task("sentence-order", trial.seed)
    out: dict[str, object] = {}
    for i, (name, numbers) in enumerate(VARIANTS.items()):
        torch.manual_seed(trial.seed)
        config = AlbertConfig(vocab_size=len(text.subwords), dim=DIM, heads=4, ffn_dim=4 * DIM, depth=DEPTH,
                              positions_length=64, **numbers)  # fmt: skip
        model = pretrained(masked_lm(config), task, 8 if trial.quick else 1500, part(trial.tick, i, len(VARIANTS)), DIM)
        out[name] = {"parameters": parameters(config), "loss": task.validate(model)["dev_nll"]}
    base = PRESETS["base"]
    sizes = {
        key: [
            parameters(AlbertConfig(**{**base.model_dump(), "depth": depth, "groups": groups}))
            for depth, groups in ((d, 1 if key == "shared" else d) for d in DEPTHS)
        ]
        for key in ("shared", "own")
    }
    return {**out, **sizes}  # fmt: skip


def losses(found: Sequence[Figures], name: str) -> list[float]:
    return [f[name]["loss"] for f in found]


def judge(found: Sequence[Figures]) -> Verdict:
    own, _, wide, narrow = (losses(found, name) for name in VARIANTS)
    cost = [(b - a) / a for a, b in zip(own, wide, strict=True)]
    narrowing = [(b - a) / a for a, b in zip(wide, narrow, strict=True)]
    constant = HOLDS if all(len(set(f["shared"])) == 1 for f in found) else FAILS
    return Verdict(
        together([constant, above(cost), above([BEARABLE - share for share in narrowing])]),
        f"parameters are {found[0]['shared'][0] / 1e6:.1f} M at every depth; sharing raises the loss of hidden words by "
        f"{interval(cost)} of it, and with shared layers a table of width {NARROW} by {interval(narrowing)}",
    )


def table(found: Sequence[Figures]) -> Table:
    rows = [[name, f"{found[0][name]['parameters']:,}", str(interval(losses(found, name)))] for name in VARIANTS]
    return Table(["model", "parameters", "held-out loss of hidden words, nats"], rows)


def picture(found: Sequence[Figures]) -> str:
    lines = [
        Line(shown, [(float(d), n / 1e6) for d, n in zip(DEPTHS, found[0][key], strict=True)], colour, dots=True)
        for key, shown, colour in (("shared", "shared layers", "blue"), ("own", "layers of their own", "orange"))
    ]
    return chart("Parameters of ALBERT base by depth", lines, "layers", "millions of parameters", zero=True)


CLAIM = Claim(
    name="sharing",
    says="Sharing makes parameters independent of depth and costs some quality; a table narrower than the layers costs "
         "next to none.",
    source="Lan et al. 2020, sections 3.1, 4.4 and 4.5",
    url="https://arxiv.org/abs/1909.11942",
    paper=Table(["base model, table of width 128", "parameters", "average of five tasks"],
                [["layers of their own", "89 M", "81.6"], ["all shared", "12 M", "80.1"]]),
    setup=f"Pre-training with hidden words and sentence order for 1,500 updates, {DEPTH} layers of width {DIM}, tables of "
          f"width {DIM} and {NARROW}; made-up documents, or those that --data names. Sizes by depth are ALBERT base's.",
    rule="The parameters of shared layers are equal at every depth; the loss of hidden words is higher with sharing by the "
         f"whole interval; and with sharing the narrow table raises it by less than {BEARABLE:.0%}.",
    cost="30 minutes",
    seeds=3,
    measure=measure,
    judge=judge,
    table=table,
    picture=picture,
)  # fmt: skip
