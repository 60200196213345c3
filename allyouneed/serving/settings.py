"""The settings of a server, free of torch and of FastAPI."""

from typing import Self

from pydantic import Field, model_validator

from allyouneed.settings import Settings


class ServingSettings(Settings):
    """What a server accepts, and how it gathers what arrives together."""

    max_batch: int = Field(32, ge=1, description="Sentences translated together.")
    max_wait: float = Field(5.0, ge=0, le=1000, description="Milliseconds for which a sentence waits for company.")
    max_queue: int = Field(512, ge=1, description="Sentences that may wait; more are answered with 429.")
    max_requests: int = Field(256, ge=1, description="Requests served at once; more are answered with 429.")
    max_sentences: int = Field(128, ge=1, description="Sentences in one request.")
    max_characters: int = Field(2000, ge=1, description="Characters of a sentence, and of a prefix.")
    max_pieces: int = Field(400, ge=1, description="Subword pieces of a sentence; decoding.max_source holds as well.")
    max_body: int = Field(1 << 20, ge=64, description="Bytes of a request's body.")
    max_beam: int = Field(16, ge=1, le=200, description="Largest beam, and most translations of a sentence.")
    timeout: float = Field(30.0, gt=0, le=3600, description="Seconds for a request, its wait included; then 504.")
    drain: float = Field(30.0, ge=0, le=3600, description="Seconds for finishing what is queued when told to stop.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_sentences > self.max_queue:
            raise ValueError(
                f"max_sentences {self.max_sentences} is more than max_queue {self.max_queue}, so that the largest "
                "request could never be accepted; lower it or raise max_queue"
            )
        return self


class ServeCommand(Settings):
    """What `allyouneed serve --set serving.key=value` may change."""

    serving: ServingSettings = ServingSettings()
