"""The settings of decoding, torch-free."""

from typing import Literal

from pydantic import Field

from allyouneed.settings import Settings


class DecodingSettings(Settings):
    """How a translation is searched."""

    beam: int = Field(5, ge=1, le=200, description="Hypotheses kept per sentence; 1 is greedy search.")
    length_penalty: float = Field(0.6, ge=0, le=5, description="Alpha of the length penalty.")
    fit_length_penalty: bool = Field(
        True, description="After training, take the length_penalty that is best on the validation set; "
        "off where one is given.",
    )  # fmt: skip
    penalty: Literal["gnmt", "average", "none"] = Field(
        "gnmt",
        description="Formula: gnmt ((5+n)/6)^alpha, average n^alpha, none 1; a score is log-probability / penalty.",
    )
    precision: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "float32",
        description="Arithmetic of the search on a CPU; auto is the fastest that the processor has, float32 the exact one.",
    )
    max_extra: int = Field(
        50, ge=1, description="A translation may be this many pieces longer than its source (paper: 50)."
    )
    max_source: int = Field(1024, ge=1, description="A longer source (in pieces) is cut, with a warning.")
    batch_tokens: int = Field(4096, ge=1, description="Padded source pieces decoded together.")
