"""The settings of running text, torch-free."""

from typing import Literal

from pydantic import Field

from allyouneed.settings import Settings


class RunningTextSettings(Settings):
    """Where running text comes from, and how it becomes windows."""

    path: str | None = Field(None, description="A text file, or a folder of them (train, val and test by name).")
    pieces: Literal["characters", "bytes", "bpe"] = Field(
        "characters", description="What a token is: a character, a byte, or a byte-level BPE piece."
    )
    vocab_size: int = Field(8000, ge=260, description="Pieces to learn, where they are bpe.")
    length: int = Field(256, ge=2, description="Tokens of a training window: how far back the model can look.")
    batch_tokens: int = Field(8192, ge=2, description="Tokens of a batch: so many windows side by side.")
    held_out: float = Field(
        0.05, gt=0, lt=0.4, description="Share of a single file that is held out for validation, and again for test."
    )
