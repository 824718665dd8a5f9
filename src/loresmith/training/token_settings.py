"""What a recipe says where a model learns from packed tokens: its shape, and how rows are cut."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from loresmith.models.architecture import Architecture
from loresmith.training.fim_settings import FimSettings


class TokenSettings(BaseModel):
    """A new model's shape, and the rows of a `tokens` asset."""

    architecture: Architecture | None = Field(
        default=None,
        description="Shape of a new model; left out when there is a `base`, and small when neither is given.",
    )
    isolate_documents: bool = Field(
        default=False,
        description="Whether documents that share a row are kept from seeing one another, each whole in a row where it "
        "fits. Otherwise rows are cut from the stream as it lies, and a row sees all that is in it.",
    )
    fim: FimSettings | None = Field(
        default=None,
        description="Fill-in-the-middle: learn pieces of documents with their middle last, so that the model can write "
        "it knowing both sides. Needs isolate_documents. Held-out numbers are of text as it stands.",
    )
    order: Literal["shuffled", "as_packed"] = Field(
        default="shuffled",
        description="In which order rows are learnt from: `shuffled` anew in every epoch, or `as_packed`, for a corpus "
        "whose order means something, such as a curriculum of `mix`.",
    )

    @model_validator(mode="after")
    def _rows_as_they_lie(self) -> Self:
        if self.order == "as_packed" and self.isolate_documents:
            raise ValueError("rows of isolated documents are put together by length: as_packed needs whole streams")
        return self

    @model_validator(mode="after")
    def _pieces_to_turn(self) -> Self:
        if self.fim is not None and not self.isolate_documents:
            raise ValueError("fim turns pieces of documents round, which need isolate_documents: true")
        return self
