"""Running a claim: seed by seed, resumable, with the paper's table beside ours, a picture, and `lab.json`."""

import json
import os
import platform
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table as Shown

from allyouneed.errors import UserError
from allyouneed.lab.claim import HOLDS, Claim, Figures, Table, Trial, Verdict
from allyouneed.training.checkpoint import write_text
from allyouneed.training.progress import Bar


def run_claim(
    claim: Claim, out: Path, quick: bool = False, seeds: int | None = None, data: Path | None = None
) -> Verdict:
    """Measures what is not yet measured, judges, and writes `lab.json` and `picture.svg` into `out`."""
    if data is not None and not data.exists():
        raise UserError(f"there is no file or folder {data}; give --data what the experiment should read")
    count = seeds or (1 if quick else claim.seeds)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {out} cannot be made ({error.strerror}); choose another --out") from None
    found = [_measured(claim, out, quick, seed, count, data) for seed in range(1, count + 1)]
    figures = [record["figures"] for record in found]
    verdict = claim.judge(figures)
    report = {
        "claim": claim.name, "says": claim.says, "source": claim.source, "url": claim.url, "quick": quick,
        "seeds": count, "data": data and str(data), "verdict": verdict.word, "because": verdict.because,
        "rule": claim.rule, "setup": claim.setup, "paper": claim.paper._asdict(),
        "ours": claim.table(figures)._asdict(), "figures": figures,
        "seconds": sum(record["seconds"] for record in found), "date": str(date.today()), "machine": machine(),
    }  # fmt: skip
    write_text(out / "lab.json", json.dumps(report, indent=1, ensure_ascii=False))
    write_text(out / "picture.svg", claim.picture(figures))
    return verdict


def _measured(claim: Claim, out: Path, quick: bool, seed: int, count: int, data: Path | None) -> Figures:
    """One seed's figures: from its file where there is one, else measured now and written at once."""
    path = out / f"{'quick' if quick else 'full'}-seed-{seed}.json"
    if path.exists():
        return _read(path)
    bar, begun = Bar(f"{claim.name}, seed {seed} of {count}"), time.monotonic()
    try:
        torch.manual_seed(seed)
        figures = dict(claim.measure(Trial(seed, quick, lambda share: bar.progress(share, None, {}), data)))
    finally:
        bar.close()
    record = {"seed": seed, "seconds": time.monotonic() - begun, "figures": figures}
    write_text(path, json.dumps(record, indent=1))
    return json.loads(json.dumps(record))  # as a resumed run would read it


def _read(path: Path) -> Figures:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        assert {"figures", "seconds"} <= set(record)
        return dict(record)
    except (OSError, ValueError, AssertionError, TypeError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}); remove it to measure that seed again") from None


def machine() -> str:
    """The kind of machine, as figures should name it."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    accelerator = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{model}, {len(os.sched_getaffinity(0))} cores, torch {torch.__version__}{accelerator}"


def show(claim: Claim, out: Path, console: Console | None = None) -> None:
    """The paper's table beside ours, and the verdict."""
    console = console or Console()
    report: dict[str, Any] = json.loads((out / "lab.json").read_text(encoding="utf-8"))
    console.print(f"[bold]{claim.says}[/bold]\n{claim.source}, {claim.url}\n", highlight=False)
    console.print(_shown("In the paper", claim.paper))
    console.print(_shown("Here", Table(**report["ours"])))
    colour = "green" if report["verdict"] == HOLDS else "yellow"
    console.print(f"[{colour}]{report['verdict']}[/{colour}]: {report['because']}", highlight=False)
    if report["quick"]:
        console.print("(a quick run: it shows that the experiment works; run it without --quick for the claim)")
    console.print(f"picture: {out / 'picture.svg'}   figures: {out / 'lab.json'}", highlight=False)


def _shown(title: str, table: Table) -> Shown:
    shown = Shown(*table.header, title=title, title_justify="left", box=None)
    for row in table.rows:
        shown.add_row(*map(str, row))
    return shown


def overview(claims: Sequence[Claim]) -> Shown:
    """`allyouneed lab list`."""
    table = Shown("name", "what is claimed", "source", "full run, 2 cores", box=None)
    for claim in claims:
        table.add_row(claim.name, claim.says, claim.source, f"{claim.cost}, {claim.seeds} seeds")
    return table
