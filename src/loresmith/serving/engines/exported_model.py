"""A model that was written in another form for an engine."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from loresmith.serving.engines.generation import Words


class ExportedModel(Words):
    """A model in OpenVINO's form."""

    directory: Path = Field(
        description="The folder with openvino_model.xml (docs/engines.md says how to make it), relative to the "
        "configuration's folder; of `models certify`, to the one where it is called."
    )
