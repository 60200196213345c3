"""The lab: intervals by hand, three words of judgement, runs that resume seed by seed, and every claim's quick run."""

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console
from tiny import Command

from allyouneed.errors import UserError
from allyouneed.lab.claim import FAILS, HOLDS, UNCLEAR, Claim, Table, Trial, Verdict
from allyouneed.lab.claims import CLAIMS
from allyouneed.lab.interval import above, interval, together, within
from allyouneed.lab.report import write_report
from allyouneed.lab.run import run_claim, show
from allyouneed.tracing.chart import Line, chart


def test_the_interval_is_students() -> None:
    """Of 1, 2, 3: mean 2, standard deviation 1, t(0.975, 2) = 4.303, so 2 ± 4.303 / sqrt(3)."""
    found = interval([1.0, 2.0, 3.0])
    assert (
        found.mean == 2
        and math.isclose(found.high - 2, 4.303 / math.sqrt(3))
        and math.isclose(2 - found.low, 4.303 / math.sqrt(3))
    )
    assert interval([5.0]) == (5.0, -math.inf, math.inf)


@pytest.mark.parametrize(
    "values, word",
    [([1.0, 1.1, 1.2], HOLDS), ([-1.0, -1.1, -1.2], FAILS), ([-1.0, 1.0, 0.1], UNCLEAR), ([9.0], UNCLEAR)],
)
def test_above_zero_needs_the_whole_interval(values: list[float], word: str) -> None:
    assert above(values) == word


def test_within_and_together() -> None:
    assert within([1.0, 1.01, 0.99], 0.9, 1.1) == HOLDS
    assert within([2.0, 2.01, 1.99], 0.9, 1.1) == FAILS
    assert within([0.9, 1.1, 1.0], 0.9, 1.1) == UNCLEAR
    assert together([HOLDS, HOLDS]) == HOLDS
    assert together([HOLDS, UNCLEAR]) == UNCLEAR
    assert together([UNCLEAR, FAILS]) == FAILS


def made(calls: list[int]) -> Claim:
    def measure(trial: Trial) -> dict[str, float]:
        calls.append(trial.seed)
        trial.tick(1.0)
        return {"gain": 1.0 + trial.seed / 100}

    return Claim(
        name="made", says="It gains.", source="Nobody 2000", url="https://example.org", paper=Table(["a"], [["1"]]),
        setup="None.", rule="Above 0.", cost="nothing", seeds=3, measure=measure,
        judge=lambda found: Verdict(above([f["gain"] for f in found]), "it gains"),
        table=lambda found: Table(["seed"], [[str(f["gain"])] for f in found]),
        picture=lambda found: chart("Gain", [Line("gain", [(1.0, f["gain"]) for f in found])], "seed", "gain"),
    )  # fmt: skip


def test_a_run_resumes_seed_by_seed(tmp_path: Path) -> None:
    calls: list[int] = []
    claim = made(calls)
    assert run_claim(claim, tmp_path, seeds=2).word == HOLDS
    assert run_claim(claim, tmp_path).word == HOLDS
    assert calls == [1, 2, 3]
    report = json.loads((tmp_path / "lab.json").read_text())
    assert report["verdict"] == HOLDS and [f["gain"] for f in report["figures"]] == [1.01, 1.02, 1.03]
    (tmp_path / "full-seed-2.json").unlink()
    run_claim(claim, tmp_path)
    assert calls == [1, 2, 3, 2]


def test_quick_figures_are_kept_apart(tmp_path: Path) -> None:
    calls: list[int] = []
    run_claim(made(calls), tmp_path, quick=True)
    run_claim(made(calls), tmp_path, seeds=1)
    assert calls == [1, 1]


def test_a_damaged_seed_is_named(tmp_path: Path) -> None:
    (tmp_path / "full-seed-1.json").write_text("{")
    with pytest.raises(UserError, match=r"full-seed-1\.json is damaged"):
        run_claim(made([]), tmp_path)


def test_the_page_holds_full_runs_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = made([])
    monkeypatch.setitem(CLAIMS, "made", claim)
    run_claim(claim, tmp_path / "made", quick=True)
    with pytest.raises(UserError, match="no full run"):
        write_report(tmp_path, tmp_path / "claims.md")
    run_claim(claim, tmp_path / "made")
    said = write_report(tmp_path, tmp_path / "claims.md")
    page = (tmp_path / "claims.md").read_text()
    assert "**Holds**: it gains." in page and "![It gains.](claims/made.svg)" in page and "1 claims" in said[0]
    assert (tmp_path / "claims" / "made.svg").read_text().startswith("<")


QUICKEST = ("scale", "permutation", "sinusoids", "norms", "stems")
"""The claims whose quick runs take seconds; those of the others are slow tests."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICKEST else [pytest.mark.slow]) for n in CLAIMS])
def test_every_claim_has_a_quick_run(name: str, tmp_path: Path) -> None:
    claim = CLAIMS[name]
    verdict = run_claim(claim, tmp_path, quick=True)
    assert verdict.word in (HOLDS, FAILS, UNCLEAR) and verdict.because
    console = Console(record=True, width=150, file=io.StringIO())
    show(claim, tmp_path, console)
    text = console.export_text()
    assert "In the paper" in text and "Here" in text and verdict.word in text
    assert (tmp_path / "picture.svg").read_text(encoding="utf-8").startswith("<svg")
    for table in (
        claim.paper,
        claim.table([record["figures"] for record in [json.loads((tmp_path / "quick-seed-1.json").read_text())]]),
    ):
        assert all(len(row) == len(table.header) for row in table.rows)


def test_the_commands(command: Command, tmp_path: Path) -> None:
    assert all(name in command("lab", "list").out for name in ("scale", "sinusoids"))
    said = command("lab", "run", "sinusoids", "--out", str(tmp_path / "sinusoids")).out
    assert "holds" in said
    command("lab", "report", "--runs", str(tmp_path), "--output", str(tmp_path / "claims.md"))
    assert "sinusoids" in (tmp_path / "claims.md").read_text()
    assert "choose one of" in command.refuses("lab", "run", "sinusoid")
