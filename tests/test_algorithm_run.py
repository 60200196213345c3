"""`allyouneed train algorithm`, from the words to the finished run, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny import Command, bits, sets

from allyouneed import load
from allyouneed.errors import UserError
from allyouneed.models.catalogue import CATALOGUE
from allyouneed.recipes.algorithm import KIND

SETTINGS = [
    "data.train_length=8", "data.test_lengths=[4,20]", "data.batch=4", "data.epoch=32", "data.cases=8",
    "training.precision=float32", "training.warmup_steps=2", "training.log_every=2", "model.dim=8",
]  # fmt: skip
SIZES = {
    "sandwich": ["model.heads=2", "model.ffn_dim=8", "model.depth=1"],
    "universal": [
        "model.heads=2",
        "model.ffn_dim=8",
        "model.steps=2",
        "model.halting=basic",
        "model.positions=learned",
    ],
    "gpt": ["model.heads=2", "model.ffn_dim=8", "model.depth=1"],
}


def words(out: Path, *more: str, model: str = "residual_shuffle_exchange", problem: str = "reverse") -> list[str]:
    settings = sets(*SETTINGS, *SIZES.get(model, []))
    return ["train", "algorithm", "--problem", problem, "--model", model, "--out", str(out), *settings, *more]


@pytest.mark.parametrize("model", ["residual_shuffle_exchange", "shuffle_exchange", "universal", "sandwich", "gpt"])
def test_a_run_from_its_words_to_its_scores(command: Command, tmp_path: Path, model: str) -> None:
    """Each of the ways of asking: in place, aside, onwards."""
    if model not in KIND.systems:
        pytest.skip(f"{model} is not in the catalogue yet")
    out = tmp_path / "run"
    code, _, err = command(*words(out, "--max-steps", "3", model=model))
    assert code == 0, err
    facts = json.loads((out / "lengths.json").read_text(encoding="utf-8"))
    assert facts["problem"] == "reverse" and set(facts["lengths"]) == {"4", "20"}
    assert (out / "learning_curve.svg").exists()
    code, said, err = command("evaluate", out, "--json")
    assert code == 0, err
    scores = json.loads(said)
    assert scores["length_20_symbols"] == facts["lengths"]["20"]["symbols"]  # the best weights, the same examples
    assert scores["exact"] == (facts["lengths"]["4"]["exact"] + facts["lengths"]["20"]["exact"]) / 2
    answers = load(out, "cpu").answer(["1 2 3", "4"])
    assert len(answers) == 2 and all(len(answer.split()) <= 4 for answer in answers)


def test_resuming_is_exact(command: Command, tmp_path: Path) -> None:
    """Batches are a function of their numbers: 3 steps and 9 more are 12 steps, over the end of an epoch."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    constant = sets("training.schedule=constant", "training.save_every=1")
    assert command(*words(whole, "--max-steps", "12", *constant)).code == 0
    assert command(*words(parts, "--max-steps", "3", *constant)).code == 0
    assert command("train", "algorithm", "--out", parts, "--resume", "--max-steps", "12").code == 0
    (first,), (second,) = (list(run.glob("checkpoints/step-*12/model.safetensors")) for run in (whole, parts))
    assert bits(first) == bits(second)


def refused(command: Command, out: Path, *more: str, **which: str) -> str:
    said = command.refuses(*words(out, "--max-steps", "1", *more, **which))
    assert not out.exists()
    return said


def test_refusals(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert refused(command, out, problem="sorting").startswith(
        "data.problem=sorting is not allowed; data.problem takes one of copy, reverse, sort"
    )
    said = refused(command, out, model="ressufle")
    assert said.startswith("there is no model 'ressufle' for algorithms; choose one of ") and "universal" in said
    assert "there is no add of length 2 or less; the shortest is 3" in refused(
        command, out, "--set", "data.train_length=2", problem="add"
    )
    assert "there is no scan of length 23; there are 1, 2, 3" in refused(
        command, out, "--set", "data.test_lengths=[9,23]", problem="scan"
    )
    assert "order 'sxf' has the letter 'x'" in refused(command, out, "--set", "model.order=sxf", model="universal")


def test_refusals_of_a_finished_run(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert command(*words(out, "--max-steps", "1")).code == 0
    assert "problems are drawn and not read" in command.refuses("evaluate", out, "--data", "x.txt")
    run: Any = load(out, "cpu")
    with pytest.raises(UserError, match="the question '1 x' holds 'x'; reverse is written in 0 1 2"):
        run.answer(["1 x"])
    with pytest.raises(UserError, match="the question is empty"):
        run.answer([" "])


def test_every_system_that_can_is_offered() -> None:
    able = {n for n, s in CATALOGUE.items() if {"algorithm", "translation", "language-model"} & set(s.builds)}
    assert set(KIND.systems) == able >= {"universal", "shuffle_exchange", "residual_shuffle_exchange", "transformer"}
