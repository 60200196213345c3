"""`allyouneed import`: a folder as Hugging Face stores it becomes a run. What it is, its config.json says.

The one kind of file that is read alone is Google's .npz of a Vision Transformer.
"""

from collections.abc import Callable
from pathlib import Path

from allyouneed.errors import UserError
from allyouneed.recipes.import_encoder import import_encoder
from allyouneed.recipes.import_marian import import_marian
from allyouneed.recipes.import_vit import import_npz, import_vit
from allyouneed.weights.files import read_json

FAMILIES: dict[str, Callable[[Path, Path], list[str]]] = {
    "marian": import_marian,
    "bert": import_encoder,
    "albert": import_encoder,
    "vit": import_vit,
}
"""By `model_type`. The oldest files have none; those are BERT's and ALBERT's."""


def import_run(folder: Path, out: Path) -> list[str]:
    """Writes the run `out` from the folder; returns what a user should know. Raises UserError at every door."""
    if out.exists():
        raise UserError(f"{out} exists already; remove it, or choose another --out")
    if folder.suffix == ".npz":
        return import_npz(folder, out)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give one with config.json, weights and vocabulary")
    family = read_json(folder / "config.json").get("model_type") or "bert"
    if family not in FAMILIES:
        raise UserError(
            f"{folder / 'config.json'} describes a model of type {family!r}; those that can be imported are "
            f"{', '.join(FAMILIES)}"
        )
    return FAMILIES[family](folder, out)
