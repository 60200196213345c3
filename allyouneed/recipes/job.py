"""What one kind of training is to the house: `allyouneed train TASK`.

A `Kind` says how its settings look: which groups, which models, which ready recipes. A `Job` adds what is done with
them. Training, resuming, run folders and help are written once, for all of them, against these two.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, create_model
from torch import nn

from allyouneed.errors import UserError
from allyouneed.models.catalogue import CATALOGUE, System
from allyouneed.settings import Settings, difference, override
from allyouneed.training.settings import TrainingSettings

LIMITS = ("max_steps", "max_epochs", "max_minutes", "patience", "log_every", "keep_checkpoints", "threads")
MAY_CHANGE = {f"training.{name}" for name in LIMITS} | {"data.path", "data.store_path"}
"""Settings that may differ on resuming: limits, and where the data lie, whose content is compared by itself."""


class Kind(NamedTuple):
    """The settings of one kind of training. Every kind has the groups `model` and `training` beside its own."""

    task: str
    title: str  # what the help says it does
    groups: Mapping[str, Settings]  # its own groups with their defaults, `data` among them
    system: str  # the model where none is named
    builds: tuple[str, ...] = ()  # which builders of a system serve it, the best first; none: the one named as the task
    training: TrainingSettings = TrainingSettings()
    recipes: Mapping[str, Sequence[str]] = {"default": ()}
    presets: Mapping[str, Sequence[str]] = {}
    """Settings beside the model's that belong to a preset, by `system/preset`, or to a system, by its name."""
    implies: Mapping[str, str] = {}
    """Settings that come with one that is given: a length penalty that is given is not fitted."""
    fitted: frozenset[str] = frozenset()  # the model's numbers that come from the data
    unlimited: Sequence[str] = ("training.max_epochs=30", "training.patience=8")
    """What ends a run for which no limit was given: when the dev score no longer grows."""

    @property
    def systems(self) -> list[str]:
        """The models of the catalogue that it can train."""
        return [name for name, entry in CATALOGUE.items() if any(build in entry.builds for build in self.forms)]

    @property
    def forms(self) -> tuple[str, ...]:
        return self.builds or (self.task,)


class Prepared(NamedTuple):
    """All that training needs."""

    settings: Any
    task: Any  # see `tasks.task.Task`
    notes: list[str]  # what a person should know of the data, a sentence each


class Job(NamedTuple):
    """A kind of training and what is done for it."""

    kind: Kind
    prepare: Callable[[Any, Path, bool], Prepared]
    """(settings, run folder, whether it is resumed) -> data read, the model's numbers fitted, the folder written."""
    conclude: Callable[[Path, Any], list[str]]
    """(run folder, task) -> what a finished run leaves for a person, and what to say of it."""
    open: Callable[..., Any]
    """(run folder, device or none) -> the run, ready for use: what `allyouneed.load` gives."""
    evaluate: Callable[..., dict[str, Any]]
    """(run folder, data or none, split, options of its own) -> scores."""
    complete: Callable[[Any, str], Any] = lambda settings, recipe: settings
    """(settings, recipe) -> settings of a new run with data that a recipe fetches."""
    begin: Callable[[nn.Module, Any], list[str]] = lambda model, settings: []
    """(fresh model, settings) -> weights from elsewhere copied in; what to say of it."""
    predict: Callable[[Any, Sequence[str], int, bool], list[str]] | None = None
    """(opened run, files, how many answers, whether as JSON) -> lines of answers, where `allyouneed predict` serves it."""


def system_named(kind: Kind, system: str) -> System:
    if system not in kind.systems:
        raise UserError(
            f"there is no model {system!r} for {kind.title}; choose one of {', '.join(kind.systems)} "
            "(allyouneed models lists them)"
        )
    return CATALOGUE[system]


def form_of(kind: Kind, system: str) -> str:
    """Which of the system's builders serves."""
    return next(form for form in kind.forms if form in system_named(kind, system).builds)


def build(kind: Kind, settings: Any) -> nn.Module:
    """The model of the settings, with fresh weights."""
    return CATALOGUE[settings.system].builds[form_of(kind, settings.system)](settings.model)


def preset_named(kind: Kind, system: str, preset: str | None) -> Settings:
    entry = system_named(kind, system)
    preset = preset or next(iter(entry.presets))
    if preset not in entry.presets:
        raise UserError(f"{system} has no preset {preset!r}; choose one of {', '.join(entry.presets)}")
    return entry.presets[preset]


def recipe_named(kind: Kind, recipe: str) -> Sequence[str]:
    if recipe not in kind.recipes:
        raise UserError(f"there is no recipe {recipe!r}; choose one of {', '.join(kind.recipes)}")
    return kind.recipes[recipe]


def that_fit(settings: Any, words: Sequence[str]) -> list[str]:
    """Of a recipe's words those that the model has a number for: a recurrent network has no heads."""
    numbers = set(type(settings.model).model_fields)
    return [word for word in words if not word.startswith("model.") or word.split("=")[0].split(".")[1] in numbers]


def belonging(kind: Kind, system: str, preset: str | None) -> list[str]:
    """The settings that come with a system and with a preset of it."""
    return [*kind.presets.get(system, ()), *kind.presets.get(f"{system}/{preset}", ())]


def with_words(kind: Kind, settings: Any, preset: Sequence[str], recipe: str, assignments: Sequence[str]) -> Any:
    """The settings with what belongs to the preset, then the recipe's words, then the user's."""
    words = [*that_fit(settings, [*preset, *recipe_named(kind, recipe)]), *assignments]
    implied = [other for key, other in kind.implies.items() if any(word.startswith(f"{key}=") for word in words)]
    return override(settings, [*implied, *words])


def settings_class(kind: Kind, system: str) -> type[Settings]:
    """The settings of a run: the system's own numbers beside what all runs of the kind share."""
    groups: dict[str, Any] = {name: (type(default), default) for name, default in kind.groups.items()}
    return create_model(
        "RunSettings",
        __base__=Settings,
        task=(str, Field(kind.task, pattern=f"^{kind.task}$", description="What the run was trained for.")),
        system=(str, Field(system, description="The model's name in the catalogue.")),
        model=(CATALOGUE[system].config, CATALOGUE[system].config()),
        data=groups.pop("data"),
        training=(TrainingSettings, kind.training),
        **groups,
    )


def make_settings(kind: Kind, system: str, preset: str | None, recipe: str, assignments: Sequence[str]) -> Any:
    """Defaults, then the preset's numbers, then the recipe's, then the user's."""
    model = preset_named(kind, system, preset)
    settings = settings_class(kind, system)().model_copy(update={"model": model})
    return with_words(kind, settings, belonging(kind, system, preset), recipe, assignments)


def changed_settings(
    kind: Kind, old: Any, system: str | None, preset: str | None, recipe: str, assignments: Sequence[str]
) -> Any:
    """A run's settings with what a command that resumes it names; what the command leaves out stays as it was."""
    if system not in (None, old.system):
        raise UserError(f"the run was begun with --model {old.system} and cannot go on with {system}; begin a new run")
    new = old
    if preset is not None:
        numbers = preset_named(kind, old.system, preset).model_dump()
        kept = {key: value for key, value in old.model.model_dump().items() if key in kind.fitted}
        new = new.model_copy(update={"model": type(old.model)(**{**numbers, **kept})})
    return with_words(kind, new, belonging(kind, old.system, preset) if preset else [], recipe, assignments)


def check_resumable(old: Any, new: Any) -> None:
    """Refuses to go on with settings that would have made another run."""
    changed = difference(old, new, ignore=MAY_CHANGE)
    if changed:
        raise UserError(
            f"a run is resumed with its own settings, but these differ: {'; '.join(changed)}; begin a new run"
        )
