"""The settings of free writing, torch-free."""

from pydantic import Field

from allyouneed.settings import Settings


class GenerationSettings(Settings):
    """How a language model writes on."""

    length: int = Field(400, ge=1, le=100_000, description="Tokens to write at most, the prompt not counted.")
    temperature: float = Field(
        0.8, ge=0, description="Logits are divided by it before drawing; 0 takes the most probable token each time."
    )
    top_k: int | None = Field(None, ge=1, description="Draw among the so many most probable tokens; null: all.")
    top_p: float = Field(1.0, gt=0, le=1, description="Draw among the most probable tokens that sum to this share.")
