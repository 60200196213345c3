"""`allyouneed export`: a run leaves the house as another program's model. The folder is there whole or not at all."""

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from allyouneed.decoding.translate import Translator
from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.encoder_run import EncoderRun
from allyouneed.recipes.image_run import ImageRun
from allyouneed.recipes.runs import load
from allyouneed.recipes.translation import KIND
from allyouneed.recipes.translation_run import TranslationRun
from allyouneed.recipes.whole import write_whole
from allyouneed.tasks.translation import Vocabulary
from allyouneed.weights import export_ctranslate2, export_encoders, export_huggingface, export_onnx, onnx_encoder
from allyouneed.weights import onnx_image as onnx_images
from allyouneed.weights import vit as huggingface_vit
from allyouneed.weights.encoders import FAMILIES


class Target(NamedTuple):
    """Where a run may go. `obstacles` names the settings that the target cannot express."""

    title: str
    systems: tuple[str, ...] | None  # whose weights it has a place for; None: any that decodes step by step
    packages: tuple[str, ...]
    extra: str
    obstacles: Callable[[Any], list[str]]
    write: Callable[[Any, Path], list[str]]  # the opened run, a new folder -> what a user should know


def _to_ctranslate2(run: TranslationRun, folder: Path) -> list[str]:
    run_folder.save_vocabulary(run.vocabulary, folder)
    return export_ctranslate2.write(run.model, run.settings.model, *run.vocabulary, folder)  # type: ignore[arg-type]


def _to_onnx(run: TranslationRun, folder: Path) -> list[str]:
    run_folder.save_vocabulary(run.vocabulary, folder)
    shutil.copy(run.folder / "config.yaml", folder / "config.yaml")
    decoding = run.settings.decoding
    return export_onnx.write(run.model, folder, decoding.max_source + decoding.max_extra + 1)


def _to_huggingface(run: TranslationRun, folder: Path) -> list[str]:
    settings = run.settings
    return export_huggingface.write(run.model, settings.model, *run.vocabulary, settings.decoding, folder)  # type: ignore[arg-type]


def _encoder_to_huggingface(run: EncoderRun, folder: Path) -> list[str]:
    settings = run.settings
    return export_encoders.write(
        settings.system, settings.task, run.model, settings.model, run.subwords, folder, run.labels
    )


def _encoder_to_onnx(run: EncoderRun, folder: Path) -> list[str]:
    settings = run.settings
    return onnx_encoder.write(settings.task, run.model, settings.model, run.subwords, folder, run.labels)


def _image_to_huggingface(run: ImageRun, folder: Path) -> list[str]:
    settings = run.settings
    return huggingface_vit.write(run.model, settings.model, run.classes, *_scaling(settings.data), folder)  # type: ignore[arg-type]


def _image_to_onnx(run: ImageRun, folder: Path) -> list[str]:
    settings = run.settings
    return onnx_images.write(run.model, settings.model, run.classes, *_scaling(settings.data), folder)


def _scaling(data: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation, one for each channel: a run may have one for all."""
    mean, std = (values * data.channels if len(values) == 1 else values for values in (data.mean, data.std))
    return mean, std


ONNX = ("onnx", "onnxscript", "onnxruntime")
TRANSFORMER = ("transformer",)
TRANSLATION = {
    "ctranslate2": Target(
        "CTranslate2", TRANSFORMER, ("ctranslate2",), "ct2", export_ctranslate2.obstacles, _to_ctranslate2
    ),
    "onnx": Target("ONNX", None, ONNX, "export", export_onnx.obstacles, _to_onnx),
    "huggingface": Target(
        "transformers", TRANSFORMER, ("transformers",), "huggingface", export_huggingface.obstacles, _to_huggingface
    ),
}
ENCODER = {
    "huggingface": Target(
        "transformers", tuple(FAMILIES), (), "huggingface", export_encoders.obstacles, _encoder_to_huggingface
    ),
    "onnx": Target("ONNX", None, ONNX, "export", export_encoders.obstacles, _encoder_to_onnx),
}
IMAGE = {
    "huggingface": Target(
        "transformers", ("vit",), (), "huggingface", huggingface_vit.obstacles, _image_to_huggingface
    ),
    "onnx": Target("ONNX", None, ONNX, "export", lambda _: [], _image_to_onnx),
}
TARGETS: dict[str, dict[str, Target]] = {
    "translation": TRANSLATION,
    "masked-lm": ENCODER,
    "text-classification": ENCODER,
    "tagging": ENCODER,
    "question-answering": ENCODER,
    "image-classification": IMAGE,
}
"""By what a run was trained for."""


def export_run(folder: Path, to: str, output: Path | None = None) -> tuple[Path, list[str]]:
    """Writes the run in `folder` as a model for `to`; the new folder, and what a user should know of it.

    Raises UserError, before anything is written, for a target that is not known or not installed, an output that
    exists, and a setting of the model that the target cannot express.
    """
    target = target_named(folder, to)
    output = output or folder / "export" / to
    if output.exists():
        raise UserError(f"{output} exists already; remove it, or choose another --output")
    run = load(folder, "cpu")
    _refuse(run.settings, target)
    _need(target.packages, target.extra, target.title)
    return output, write_whole(output, lambda aside: target.write(run, aside))


def target_named(folder: Path, to: str) -> Target:
    """The target among those that a run's task has."""
    if not folder.is_dir():
        raise UserError(f"there is no run folder {folder}; give the folder that training wrote")
    task = run_folder.stored_task(folder)
    targets = TARGETS.get(task, {})
    if not targets:
        raise UserError(f"{folder} is a run of {task}, for which there is no export; there is for {', '.join(TARGETS)}")
    if to not in targets:
        raise UserError(f"--to {to} is not known for a run of {task}; choose one of {', '.join(targets)}")
    return targets[to]


def _refuse(settings: Any, target: Target) -> None:
    if target.systems is not None and settings.system not in target.systems:
        raise UserError(f"{target.title} has no place for a model of the system {settings.system}; --to onnx has")
    obstacles = target.obstacles(settings.model)
    if obstacles:
        raise UserError(f"{target.title} cannot express {'; '.join(obstacles)}; --to onnx can")


def _need(packages: tuple[str, ...], extra: str, title: str) -> None:
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError:
            raise UserError(
                f"export to {title} needs the package {package}; install it with: pip install 'allyouneed[{extra}]'"
            ) from None


class OnnxRun:
    """An exported ONNX folder, used like a run: `load_onnx(folder).translate(lines, beam=5)`."""

    def __init__(self, folder: str | Path, threads: int = 0):
        _need(("onnxruntime",), "export", "ONNX")
        from allyouneed.weights.onnx_model import OnnxModel

        self.folder = Path(folder)
        model = OnnxModel(self.folder, threads)
        self.settings = run_folder.stored_settings(self.folder, KIND)
        self.vocabulary: Vocabulary = run_folder.load_vocabulary(self.folder)
        self.translator = Translator(model, *self.vocabulary)

    def translate(self, lines: list[str], **changes: Any) -> list[str]:
        """The best translation of each line; settings of decoding are named."""
        decoding = self.settings.decoding
        return self.translator.translate(lines, type(decoding)(**{**decoding.model_dump(), **changes}))


def load_onnx(folder: str | Path, threads: int = 0) -> OnnxRun:
    """Opens what `export --to onnx` wrote. It runs on the CPU; `threads` 0 leaves their number to ONNX Runtime."""
    return OnnxRun(folder, threads)
