"""The settings of images: where they come from, how they become batches, and how they are varied. Torch-free."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import Field, field_validator

from allyouneed.settings import Settings


class ImageSettings(Settings):
    """Where labelled images come from, and how they become batches."""

    path: str | None = Field(
        None,
        description="Folder with train/CLASS/*.jpg (val/ and test/ beside it), folder of class folders, folder of IDX "
        "files, CSV of paths and labels, or digits; none: digits, which scikit-learn brings.",
    )
    image_column: str | None = Field(None, description="The column of a CSV that holds paths; none: found by its name.")
    label_column: str | None = Field(
        None, description="The column of a CSV that holds labels; none: found by its name."
    )
    class_names: str | None = Field(
        None, description="Names of the classes 0, 1, ..., separated by commas, where the data has only their numbers."
    )
    split_seed: int = Field(1, description="Seed of the automatic split of what has no val or test.")
    image_size: int | None = Field(
        None,
        ge=1,
        description="Rows and columns that every image is brought to; none: chosen by the images' own sizes.",
    )
    channels: Literal[1, 3] | None = Field(
        None, description="1 is grey, 3 is red, green and blue; none: 1 where all images are grey."
    )
    fit: Literal["crop", "pad", "stretch"] = Field(
        "crop", description="How an image that is no square becomes one: its middle, black bars, or distorted."
    )
    mean: tuple[float, ...] | None = Field(
        None, description="Taken from each channel (black is 0, white 1); none: the mean of the training images."
    )
    std: tuple[float, ...] | None = Field(
        None, description="What each channel is divided by then; none: the training images' standard deviation."
    )
    suit: bool = Field(
        True,
        description="Large images get larger patches, or a stem that shrinks them; off where model.patch or model.stem "
        "is given.",
    )
    batch_size: int | None = Field(
        None, ge=1, description="Images of a batch; none: 128, or for fewer than 4,096 images less, down to 16."
    )
    max_images: int | None = Field(None, ge=1, description="Use only so many training images, drawn by the split seed.")
    workers: int = Field(0, ge=0, description="Threads that decode image files; 0: one for each processor.")
    cache_gb: float = Field(
        4.0,
        ge=0,
        description="Decoded images stay in memory up to so many gigabytes; above they are decoded each time.",
    )

    @field_validator("std")
    @classmethod
    def _divides(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and (not value or min(value) <= 0):
            raise ValueError("std must be above 0 for every channel")
        return value


class Augmentation(NamedTuple):
    """The numbers of a preset, all of them decided."""

    shift: float = 0.0
    flip: float = 0.0
    smallest: float = 1.0
    colour: float = 0.0
    randaugment: int = 0
    magnitude: float = 9.0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0


AUGMENTATIONS: Mapping[str, Augmentation] = {
    "none": Augmentation(),
    "shift": Augmentation(shift=0.08),  # for digits, letters, signs: what is mirrored means something else
    "objects": Augmentation(shift=0.125, flip=0.5),  # CIFAR's usual: four pixels of 32, and mirrored
    "photos": Augmentation(flip=0.5, smallest=0.35, colour=0.3),
    # DeiT's (Touvron et al. 2021, table 9), which SPACH follows.
    "strong": Augmentation(flip=0.5, smallest=0.08, randaugment=2, erase=0.25, mixup=0.8, cutmix=1.0),
}


class AugmentSettings(Settings):
    """How training images are varied. What is left to none is the preset's."""

    preset: Literal["auto", "none", "shift", "objects", "photos", "strong"] = Field(
        "auto",
        description="none; shift (digits, signs); objects (and mirrored); photos (crops of any size, mirrored, colour); "
        "strong (DeiT's: RandAugment, mixup, cutmix, erasing); auto: photos, or shift for images up to 64 x 64.",
    )
    shift: float | None = Field(None, ge=0, le=0.5, description="Largest shift, as a share of the image's side.")
    flip: float | None = Field(None, ge=0, le=1, description="Probability that left and right change sides.")
    smallest: float | None = Field(
        None, gt=0, le=1, description="Random crops take from this share of the area to all of it; 1: no such crops."
    )
    colour: float | None = Field(
        None, ge=0, le=1, description="Change of brightness, contrast and saturation: a factor of 1 - c to 1 + c."
    )
    randaugment: int | None = Field(None, ge=0, le=8, description="Operations of RandAugment on each image.")
    magnitude: float | None = Field(None, ge=0, le=10, description="Strength of RandAugment's operations.")
    erase: float | None = Field(None, ge=0, le=1, description="Probability that a rectangle is made blank.")
    mixup: float | None = Field(
        None, ge=0, description="Two images and their labels are blended, with a share from Beta(a, a); 0 is off."
    )
    cutmix: float | None = Field(
        None, ge=0, description="A rectangle comes from another image, with an area from Beta(a, a); 0 is off."
    )

    def resolved(self, kind: str = "shift") -> Augmentation:
        """The numbers, with `kind` as what auto means."""
        preset = AUGMENTATIONS[kind if self.preset == "auto" else self.preset]
        given = {name: value for name in Augmentation._fields if (value := getattr(self, name)) is not None}
        return preset._replace(**given)
