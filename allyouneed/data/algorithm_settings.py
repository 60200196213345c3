"""The settings of algorithmic problems, torch-free."""

from pydantic import Field

from allyouneed.data.algorithms import Name
from allyouneed.settings import Settings


class AlgorithmSettings(Settings):
    """What is asked, how long it is in training and in the test."""

    problem: Name = Field("reverse", description="What is to be learnt.")
    train_length: int = Field(32, ge=1, description="Lengths of training go from the shortest to this one.")
    test_lengths: tuple[int, ...] = Field(
        (32, 64, 128, 256), min_length=1, description="Lengths at which a finished run is tested."
    )
    batch: int = Field(32, ge=1, description="Examples of a batch.")
    epoch: int = Field(12_800, ge=1, description="Examples after which a run is validated; none comes twice.")
    cases: int = Field(256, ge=1, description="Examples of a validation, and of each length of the test.")
