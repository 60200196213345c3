"""The run folder: what training writes beside weights and metrics, and reading it back at the door."""

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, create_model

from allyouneed.data.settings import ParallelSettings
from allyouneed.data.subwords import Subwords
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.errors import UserError
from allyouneed.models.catalogue import CATALOGUE
from allyouneed.settings import Settings, from_yaml, to_yaml
from allyouneed.tasks.translation import Vocabulary
from allyouneed.training.checkpoint import write_text
from allyouneed.training.settings import TrainingSettings

GROUPS = ("task", "system", "model", "data", "training", "decoding")


def settings_class(system: str) -> type[Settings]:
    """The settings of a translator of the catalogue: its own numbers beside what all translators share."""
    return create_model(
        "TranslationSettings",
        __base__=Settings,
        task=(str, Field("translation", pattern="^translation$", description="What the run was trained for.")),
        system=(str, Field(system, description="The model's name in the catalogue.")),
        model=(CATALOGUE[system].config, CATALOGUE[system].config()),
        data=(ParallelSettings, ParallelSettings()),
        training=(TrainingSettings, TrainingSettings()),
        decoding=(DecodingSettings, DecodingSettings()),
    )


def save_settings(settings: Any, folder: Path) -> None:
    """The last file that makes a folder a run, and the one that is written anew when a resume raises a limit."""
    write_text(folder / "config.yaml", to_yaml(settings))


def stored_settings(folder: Path) -> Any:
    """The settings with which a run was begun."""
    path = folder / "config.yaml"
    if not path.exists():
        raise UserError(f"{folder} is not a run: it holds no config.yaml; give the folder that training wrote")
    system = _system_in(path)
    if system not in CATALOGUE:
        raise UserError(f"{path} names the model {system!r}, which this version does not have")
    return from_yaml(settings_class(system), path)


def _system_in(path: Path) -> str:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        missing = [name for name in GROUPS if name not in content]
        if missing:
            raise UserError(f"{path} is cut short or foreign: it has no {', '.join(missing)}; restore it from a copy")
        return str(content["system"])
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not the settings of a run ({type(error).__name__}); restore it from a copy"
        ) from None


def save_vocabulary(vocabulary: Vocabulary, folder: Path) -> None:
    joint = vocabulary.source is vocabulary.target
    names = ["tokenizer.json"] if joint else ["tokenizer.source.json", "tokenizer.target.json"]
    for name, side in zip(names, vocabulary, strict=False):
        write_text(folder / name, side.tokenizer.to_str(pretty=True))


def load_vocabulary(folder: Path) -> Vocabulary:
    if (folder / "tokenizer.json").exists():
        joint = Subwords.load(folder / "tokenizer.json")
        return Vocabulary(joint, joint)
    names = [folder / "tokenizer.source.json", folder / "tokenizer.target.json"]
    missing = [name.name for name in names if not name.exists()]
    if missing:
        raise UserError(f"{folder} holds no tokenizer.json, so it is not a whole run; was it copied without it?")
    return Vocabulary(*(Subwords.load(name) for name in names))


def stored_facts(folder: Path) -> dict[str, Any]:
    path = folder / "data.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return {"sha256": facts["sha256"], "train": int(facts["train"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is missing or damaged ({type(error).__name__}); restore it from a copy") from None


def languages(folder: Path) -> tuple[str | None, str | None]:
    """From which language into which a run translates, where its `data.json` says so (an imported run has none)."""
    try:
        facts = json.loads((folder / "data.json").read_text(encoding="utf-8"))
        return facts.get("source"), facts.get("target")
    except (OSError, ValueError, AttributeError):
        return None, None


def check_sizes(vocabulary: Vocabulary, settings: Any, folder: Path) -> None:
    """Refuses a tokenizer that is another run's: its ids would be other words, or none."""
    sizes = (settings.model.source_vocab_size or settings.model.vocab_size, settings.model.vocab_size)
    found = (len(vocabulary.source), len(vocabulary.target))
    if sizes != found:
        raise UserError(
            f"the tokenizer in {folder} has {found[1]:,} pieces ({found[0]:,} for the source) and the model of "
            f"config.yaml {sizes[1]:,} ({sizes[0]:,}), so one of them is another run's; restore it from a copy"
        )
