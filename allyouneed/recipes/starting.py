"""Beginning from what was trained before: the numbers of another run's body."""

from pathlib import Path
from typing import Any

import yaml

from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.settings import override

ITS_OWN = ("labels", "pair", "dropout", "attention_dropout", "head_dropout", "pair_dropout")
"""Numbers of the model that a fine-tuned one may choose anew."""


def body_numbers(settings: Any, start: Path) -> Any:
    """The settings with the sizes of the run to begin from; its kind of model must be the same."""
    if not start.is_dir():
        raise UserError(f"there is no run folder {start} to begin from; give --from a run or an imported checkpoint")
    run_folder.stored_task(start)  # says what is wrong with a folder that is no run
    content = yaml.safe_load((start / "config.yaml").read_text(encoding="utf-8"))
    if content.get("system") != settings.system:
        raise UserError(f"{start} is a run of {content.get('system')!r}; give --model {content.get('system')}")
    numbers = {key: value for key, value in content["model"].items() if key not in ITS_OWN}
    words = [f"model.{key}={'null' if value is None else value}" for key, value in numbers.items()]
    return override(settings, words)
