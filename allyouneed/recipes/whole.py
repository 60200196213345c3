"""A new folder that is there whole or not at all."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from allyouneed.errors import UserError

T = TypeVar("T")


def write_whole(output: Path, write: Callable[[Path], T]) -> T:
    """Lets `write` fill a folder aside and renames it to `output`; nothing is left behind if it fails."""
    if output.exists():
        raise UserError(f"{output} exists already; remove it, or choose another folder")
    aside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        aside.mkdir(parents=True)
        result = write(aside)
        aside.rename(output)
        return result
    except OSError as error:
        raise UserError(f"{output} cannot be written ({error.strerror or error}); choose another folder") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
