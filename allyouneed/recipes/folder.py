"""The run folder: what training writes beside weights and metrics, and reading it back at the door."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from allyouneed.data.subwords import Subwords
from allyouneed.errors import UserError
from allyouneed.recipes.job import Kind, settings_class
from allyouneed.settings import from_yaml, to_yaml
from allyouneed.tasks.translation import Vocabulary
from allyouneed.training.checkpoint import load_tensors, write_text
from allyouneed.training.state import load_model_tensors


def save_settings(settings: Any, folder: Path) -> None:
    """The last file that makes a folder a run, and the one that is written anew when a resume raises a limit."""
    write_text(folder / "config.yaml", to_yaml(settings))


def stored_settings(folder: Path, kind: Kind) -> Any:
    """The settings with which a run was begun."""
    task, content = stored_task(folder), _content(folder)
    path = folder / "config.yaml"
    if task != kind.task:
        raise UserError(f"{folder} is a run of {task}, not of {kind.title}; give the folder of a run of {kind.title}")
    missing = [name for name in ("system", "model", "training", *kind.groups) if name not in content]
    if missing:
        raise UserError(f"{path} is cut short or foreign: it has no {', '.join(missing)}; restore it from a copy")
    if content["system"] not in kind.systems:
        raise UserError(f"{path} names the model {content['system']!r}, which this version does not have")
    return from_yaml(settings_class(kind, content["system"]), path)


def stored_task(folder: Path) -> str:
    """What a run was trained for."""
    content = _content(folder)
    if not isinstance(content, dict) or "task" not in content:
        path = folder / "config.yaml"
        raise UserError(f"{path} is cut short or foreign: it has no task; restore it from a copy")
    return str(content["task"])


def _content(folder: Path) -> Any:
    path = folder / "config.yaml"
    if not path.exists():
        raise UserError(f"{folder} is not a run: it holds no config.yaml; give the folder that training wrote")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
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


def check_same_data(folder: Path, facts: Mapping[str, Any], unit: str) -> None:
    """Refuses to resume with other data than the run was begun with."""
    before = stored_facts(folder)
    if before["sha256"] != facts["sha256"]:
        raise UserError(
            f"the data is not that with which {folder} was begun ({facts['train']:,} {unit} now, "
            f"{before['train']:,} then, or another text); resume with the same data or begin a new run"
        )


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


def load_weights(model: nn.Module, path: Path) -> nn.Module:
    """The weights of a finished run, in a model of its settings, ready for use."""
    if not path.exists():
        raise UserError(
            f"{path.parent} holds no model.safetensors: training has not yet validated, or the run was copied in part"
        )
    try:
        load_model_tensors(model, load_tensors(path))
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{path} does not fit the model of {path.parent}/config.yaml ({error})") from None
    return model.eval()
