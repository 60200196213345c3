"""Published encoders opened: a folder of BERT's or ALBERT's, whole or its body under a new head.

What a folder holds is said by its weights, and where they leave it open by its `architectures`. Loading is strict:
every name that is missing or unexpected is listed, and a folder of another family is refused by name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.weights.albert import ALBERT
from allyouneed.weights.bert import BERT
from allyouneed.weights.encoder_names import CLASSIFIER, IGNORED, SPAN, Family, Pair, dropped, heads, rows
from allyouneed.weights.files import read_json, read_tensors
from allyouneed.weights.rename import Row, load

FAMILIES = {family.name: family for family in (BERT, ALBERT)}


class Opened(NamedTuple):
    """A published encoder as one of ours."""

    family: str  # the system's name in the catalogue
    task: str
    config: Any
    model: nn.Module  # in eval mode
    labels: list[str] | None  # names of the classes, where the folder has them
    notes: list[str]  # what a user should know


def load_encoder(
    folder: str | Path, task: str | None = None, labels: int | None = None, bare: str | None = None
) -> Opened:
    """The model in a folder with config.json and model.safetensors (or pytorch_model.bin).

    With a `task` other than the folder's own, its body is read and the head is new: the start of fine-tuning. With
    `labels`, the number of one's own classes, it is new in any case; a folder without any head is opened for the task
    `bare`. Raises UserError where a file is missing, damaged, hostile, of another kind or does not fit.
    """
    folder = Path(folder)
    given = read_json(folder / "config.json")
    family = family_of(given, folder / "config.json")
    tensors = read_tensors(folder)
    _refuse_foreign(family, tensors, folder)
    held = held_task(family, tensors, given)
    task = task or held or bare
    if task is None:
        raise UserError(
            f"{folder} holds the body of a model and no head; say what it is to do ({', '.join(family.builds)})"
        )
    if task not in family.builds:
        raise UserError(f"{task!r} is no task of {family.name}; it serves {', '.join(family.builds)}")
    whole = task == held and labels is None
    config = _config(family, given, tensors, whole, folder / "config.json")
    config = config if labels is None else type(config)(**{**config.model_dump(), "labels": labels})
    model = family.builds[task](config)
    if whole:
        notes = _load_whole(model, family, task, config, tensors, str(folder))
    else:
        notes = _load_body(model, family, config, tensors, str(folder))
    return Opened(family.name, task, config, model.eval(), _labels(given, config) if whole else None, notes)


def published_numbers(folder: Path) -> tuple[str, dict[str, Any]]:
    """The family of a folder and the numbers of its model, without a look at its weights."""
    given = read_json(folder / "config.json")
    family = family_of(given, folder / "config.json")
    try:
        return family.name, family.numbers(given)
    except UserError as error:
        raise UserError(f"{folder / 'config.json'}: {error}") from None


def family_of(given: Mapping[str, Any], path: Path) -> Family:
    """By `model_type`; the oldest files have none, and ALBERT's are known by their groups of layers."""
    name = given.get("model_type") or ("albert" if "num_hidden_groups" in given else "bert")
    if name not in FAMILIES:
        raise UserError(
            f"{path} describes a model of type {name!r}; encoders that can be read are {', '.join(FAMILIES)}"
        )
    return FAMILIES[name]


def _refuse_foreign(family: Family, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Weights of which not one has a name of the family's body: a long list of what is missing would say less."""
    if not any(name.removeprefix(f"{family.prefix}.").startswith(("embeddings.", "encoder.")) for name in tensors):
        raise UserError(
            f"{folder} holds no weights of {family.name}'s: the first is named {next(iter(tensors), 'nothing')!r}"
        )


def held_task(family: Family, tensors: Mapping[str, Tensor], given: Mapping[str, Any]) -> str | None:
    """What the folder's heads are for; None for a body alone."""
    if any(theirs in tensors for theirs, _ in family.words):
        return "masked-lm"
    if SPAN[0][0] in tensors:
        return "question-answering"
    if CLASSIFIER[0][0] not in tensors:
        return None
    for architecture in given.get("architectures") or []:
        if family.architectures.get(architecture) in ("tagging", "text-classification"):
            return family.architectures[architecture]
    return "text-classification" if _has(family.pooler, family, tensors) else "tagging"


def _has(pairs: list[Pair], family: Family, tensors: Mapping[str, Tensor]) -> bool:
    return any(name in tensors for theirs, _ in pairs for name in (theirs, f"{family.prefix}.{theirs}"))


def _config(family: Family, given: Mapping[str, Any], tensors: Mapping[str, Tensor], whole: bool, path: Path) -> Any:
    problem = given.get("problem_type")
    if whole and problem not in (None, "single_label_classification"):
        raise UserError(f"{path} describes a model for {problem}; classifiers here choose one class")
    pair = family.pair if _has(family.pair_head, family, tensors) or not whole else "none"
    labels = {"labels": len(tensors[CLASSIFIER[0][0]])} if whole and CLASSIFIER[0][0] in tensors else {}
    try:
        return family.config(**family.numbers(given), **labels, pair=pair)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except ValidationError as error:
        said = "; ".join(" ".join(map(str, (*fault["loc"], fault["msg"]))) for fault in error.errors())
        raise UserError(f"{path} holds numbers that do not fit together: {said}") from None


def _load_whole(
    model: Any, family: Family, task: str, config: Any, tensors: Mapping[str, Tensor], origin: str
) -> list[str]:
    """Every weight of the model from the file."""
    own = rows(heads(family, task, config.pair != "none"))
    twins = rows(family.twins) if task == "masked-lm" else []
    load(model, tensors, [*_body_rows(model.body, family, config, "body."), *own, *twins], origin)
    if _has(family.pooler, family, tensors) and not list(model.body.pooler.parameters()):
        return [f"the pooler in {origin} is left out: {task} does not read it"]
    return []


def _load_body(model: Any, family: Family, config: Any, tensors: Mapping[str, Tensor], origin: str) -> list[str]:
    """The body from the file; heads stay as they were initialised."""
    others = [*family.words, *family.twins, *family.pair_head, *CLASSIFIER, *SPAN]
    fresh = dict(model.body.pooler.named_parameters(prefix="pooler"))
    notes = ["the head is new: train it before use"]
    if fresh and not _has(family.pooler, family, tensors):
        tensors = {**tensors, **{theirs: fresh[ours].detach() for theirs, ours in family.pooler}}
        notes = ["the head and the pooler are new: train them before use"]
    load(model.body, tensors, [*_body_rows(model.body, family, config, ""), *dropped(others)], origin)
    return notes


def _body_rows(body: Any, family: Family, config: Any, ours: str) -> list[Row]:
    pooler = rows(family.pooler, family.prefix, ours)
    if not list(body.pooler.parameters()):
        pooler = dropped(family.pooler, family.prefix)
    ignored = [Row(rf"(?:{family.prefix}\.)?{IGNORED}")]
    return [*rows(family.body(config), family.prefix, ours), *pooler, *ignored]


def _labels(given: Mapping[str, Any], config: Any) -> list[str] | None:
    """The classes' names in the order of their numbers, where the folder names each."""
    named = given.get("id2label")
    if not isinstance(named, dict) or sorted(named) != sorted(map(str, range(config.labels))):
        return None
    return [str(named[str(index)]) for index in range(config.labels)]
