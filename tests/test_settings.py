"""Settings: what may be written, what it becomes, and the one sentence for everything else."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from allyouneed.errors import UserError
from allyouneed.settings import (
    Settings,
    describe,
    difference,
    from_yaml,
    override,
    parse_duration,
    to_yaml,
)
from allyouneed.training.settings import TrainingSettings


@dataclasses.dataclass(frozen=True)
class Lamps:
    count: int = 2
    colour: str = dataclasses.field(default="red", metadata={"description": "Colour of the lamps."})


class Model(Settings):
    dim: int = Field(64, ge=2, description="Width.")
    heads: int = Field(4, ge=1, description="Heads.")
    order: str | None = Field(None, description="Letters.")
    tie: Literal["all", "no"] = Field("all", description="Tables.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Share dropped.")

    @model_validator(mode="after")
    def _fits(self) -> "Model":
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not divisible by heads {self.heads}")
        return self


class Run(Settings):
    model: Model = Model()
    training: TrainingSettings = TrainingSettings()
    lamps: Lamps = Lamps()
    name: str = Field("run", description="Name.")
    tests: list[str] = Field([], description="Test sets.")
    on: bool = Field(False, description="A switch.")


def test_override_makes_a_changed_copy_of_the_same_type() -> None:
    before = Run()
    after = override(before, ["model.dim=32", "training.precision=float32", "training.save_every=20", "name=x=y"])
    assert type(after) is Run
    assert (after.model.dim, after.training.precision, after.training.save_every) == (32, "float32", 20)
    assert after.name == "x=y"  # only the first equals sign separates
    assert before == Run()
    assert after.model.heads == before.model.heads


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("training.learning_rate=1e-3", 1e-3),
        ("training.learning_rate=5", 5.0),
        ("training.max_steps=1e5", 100_000),
        ("training.max_steps=null", None),
        ("training.max_steps=none", None),
        ("training.warmup_steps=10_000", 10_000),
        ("model.order=sfsf", "sfsf"),
        ("model.order=12", "12"),
        ("model.order=none", None),
        ("model.tie=no", "no"),
        ("name=no", "no"),
        ("name=1e-3", "1e-3"),
        ("name=2026-11-21", "2026-11-21"),
        ("name=[", "["),
        ("name=", ""),
        ("on=yes", True),
        ("on=off", False),
        ("tests=[a, b]", ["a", "b"]),
        ("lamps.count=3", 3),
        ("lamps.colour=on", "on"),
    ],
)
def test_values_are_read_as_meant(assignment: str, value: Any) -> None:
    result: Any = override(Run(), [assignment])
    for name in assignment.partition("=")[0].split("."):
        result = getattr(result, name)
    assert result == value
    assert type(result) is type(value)


def test_rules_between_fields_see_the_final_values() -> None:
    changed = override(Run(), ["model.dim=96", "model.heads=12", "model.heads=6"])
    assert (changed.model.dim, changed.model.heads) == (96, 6)
    with pytest.raises(UserError, match="model: dim 64 is not divisible by heads 5"):
        override(Run(), ["model.heads=5"])


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("model.dmi=3", ["'model.dmi'", "did you mean 'model.dim'?", "dim, heads, order, tie, dropout"]),
        ("modle.dim=3", ["'modle.dim'", "did you mean 'model.dim'?", "dim, heads"]),
        ("modle.dmi=3", ["did you mean 'model.dim'?"]),
        ("dim=3", ["did you mean 'model.dim'?", "model, training, lamps, name"]),
        ("training.dim=3", ["did you mean 'model.dim'?", "Settings of training"]),
        ("zzz.qqq=3", ["unknown setting 'zzz.qqq'", "model, training, lamps, name"]),
        ("model.dim.x=3", ["unknown setting 'model.dim.x'"]),
        ("lamps.cuont=3", ["did you mean 'lamps.count'?"]),
        ("model=3", ["'model' is a group", "dim, heads"]),
        ("model.dim", ["key=value", "'model.dim'"]),
        ("=3", ["key=value"]),
        ("model.dim=abc", ["model.dim=abc", "whole number >= 2"]),
        ("model.dim=1", ["model.dim=1", "whole number >= 2"]),
        ("model.dim=2.5", ["model.dim=2.5", "whole number >= 2"]),
        ("model.dim=true", ["model.dim=true", "whole number"]),
        ("model.dim=", ["whole number >= 2"]),
        ("model.dropout=1", ["number >= 0 and < 1"]),
        ("model.dropout=.nan", ["number >= 0 and < 1"]),
        ("training.learning_rate=inf", ["number > 0"]),
        ("training.schedule=noam", ["training.schedule=noam", "one of paper, inverse_sqrt, cosine"]),
        ("training.max_steps=-1", ["whole number >= 1 or null"]),
        ("on=maybe", ["true or false"]),
        ("lamps.count=many", ["lamps.count=many", "whole number"]),
    ],
)
def test_wrong_assignments_get_one_sentence(assignment: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        override(Run(), [assignment])
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_yaml_round_trip(tmp_path: Path) -> None:
    run = override(Run(), ["training.eps=1e-9", "name=1e5", "model.order=sfsf", "lamps.colour=grün", "tests=[a]"])
    (tmp_path / "config.yaml").write_text(to_yaml(run), encoding="utf-8")
    assert from_yaml(Run, tmp_path / "config.yaml") == run


def test_yaml_reads_a_part_and_floats_without_a_dot(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("training: {eps: 1e-9, max_steps: 1e5}\n")
    training = from_yaml(Run, tmp_path / "c.yaml").training
    assert (training.eps, training.max_steps) == (1e-9, 100_000)
    (tmp_path / "c.yaml").write_text("")
    assert from_yaml(Run, tmp_path / "c.yaml") == Run()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"model: {dmi: 3}", ["did you mean 'model.dim'?"]),
        (b"modle: {dim: 3}", ["did you mean 'model'?"]),
        (b"lamps: {cuont: 3}", ["did you mean 'lamps.count'?"]),
        (b"model: {dim: wide}", ["model.dim: wide is not allowed; it takes whole number >= 2"]),
        (b"model: {dim: on}", ["model.dim", "truth value"]),
        (b"model: {heads: 5}", ["model: dim 64 is not divisible"]),
        (b"model: 3", ["model"]),
        (b"- a\n- b", ["key: value"]),
        (b"a: [", ["not valid YAML", "line 1"]),
        (b"\xff\xfe", ["not UTF-8"]),
    ],
)
def test_wrong_files_get_one_sentence(tmp_path: Path, content: bytes, words: list[str]) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(UserError) as caught:
        from_yaml(Run, tmp_path / "c.yaml")
    assert all(word in str(caught.value) for word in ["c.yaml", *words]), str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        from_yaml(Run, tmp_path / "nowhere.yaml")


def test_describe_lists_every_setting() -> None:
    rows = {row.key: row for row in describe(Run)}
    assert rows["model.dim"] == ("model.dim", "whole number >= 2", 64, "Width.")
    assert rows["lamps.colour"].explanation == "Colour of the lamps."
    assert rows["training.max_steps"].type == "whole number >= 1 or null"
    assert {row.key: row.default for row in describe(override(Run(), ["model.dim=8"]))}["model.dim"] == 8
    assert all(row.explanation.endswith(".") for row in describe(TrainingSettings))


def test_difference_names_what_changed() -> None:
    other = override(Run(), ["model.dim=128", "training.max_steps=5"])
    assert difference(Run(), Run()) == []
    assert difference(Run(), other) == ["model.dim (was 64, now 128)", "training.max_steps (was null, now 5)"]
    assert difference(Run(), other, ignore=["training.max_steps"]) == ["model.dim (was 64, now 128)"]
    assert "dim (was 64, now absent)" in difference(Model(), TrainingSettings())


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Model().dim = 3


def test_average_needs_its_checkpoints() -> None:
    with pytest.raises(UserError, match="raise keep_checkpoints"):
        override(Run(), ["training.average_last=9"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("40m", 2400),
        ("90s", 90),
        ("1h30m", 5400),
        ("2400", 2400),
        ("1.5h", 5400),
        ("2D", 172800),
        ("1h 5s", 3605),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "40 parsecs", "-5m", "30m1h", "0", "0s", "1h30", "nan", "inf", "1e3", "٣m"])
def test_wrong_durations(text: str) -> None:
    with pytest.raises(UserError, match="90s, 40m, 1h30m"):
        parse_duration(text)


def test_help_needs_no_torch() -> None:
    code = "import sys; from allyouneed.training import settings; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
