"""Rights that stand beside the documents: `report.pdf.rights.yaml` for one file, `.rights.yaml` for a whole folder.

```yaml
licence: CC-BY-4.0
owner: press office
labels: [internal]
uses: [retrieve]
retain_until: 2027-12-31
```

Whoever puts documents into a folder says so there what may be done with them, and no recipe has to know. A sidecar is
no document itself. One that cannot be read, or says something unknown, stops the reading: what may be done with the
documents would be anybody's guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.data.reading.memory import KnownFiles
from loresmith.data.reading.sources import NoBytes, SourceFile
from loresmith.errors import UserError
from loresmith.validation import validate
from loresmith.yaml_lines import load_yaml

PATTERNS = ("*.rights.yaml", "*.rights.yml")
"""What finds sidecars, whichever files are wanted."""

_NAME = re.compile(r"(.*)\.rights\.ya?ml", re.DOTALL)
_MOST_BYTES = 1 << 20


class StatedRights(BaseModel):
    """The keys of a sidecar. One that is not there says nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    licence: str | None = Field(default=None, description="Under which licence the documents are.")
    owner: str | None = Field(default=None, description="Who answers for them.")
    labels: tuple[str, ...] = Field(default=(), description="Access labels, on top of all others.")
    uses: tuple[Literal["train", "evaluate", "retrieve"], ...] | None = Field(
        default=None, description="What they may be used for, of what they may be used for otherwise."
    )
    retain_until: date | None = Field(default=None, description="The last day on which they may be kept.")


@dataclass(frozen=True)
class Sidecars:
    """The sidecars of a source.

    Attributes:
        files: what is said of single files, by their paths.
        folders: what is said of all that is below folders, by their paths; `""` is the place itself.
        strays: the paths of which something is said in `files`, and at which there is no file to read.
    """

    files: dict[str, StatedRights] = field(default_factory=dict)
    folders: dict[str, StatedRights] = field(default_factory=dict)
    strays: set[str] = field(default_factory=set)

    def said_of(self, path: str) -> str:
        """Of a sidecar, what it speaks of, in words; empty for any other file."""
        meant = sidecar_of(path)
        if meant is None or meant[0] not in (self.folders if meant[1] else self.files):
            return ""
        subject, is_folder = meant
        if is_folder:
            return f"of all in {subject}/" if subject else "of all files"
        return f"of {subject}, which is not read" if subject in self.strays else f"of {subject}"

    def of(self, path: str) -> list[StatedRights]:
        """All that is said of a file, from the outermost folder to the file itself; one in an archive has what is said
        of the archive."""
        path = path.split("!/", 1)[0]
        parts = path.split("/")
        folders = ["/".join(parts[:end]) for end in range(len(parts))]
        said = [self.folders[folder] for folder in folders if folder in self.folders]
        return [*said, self.files[path]] if path in self.files else said


def sidecar_of(path: str) -> tuple[str, bool] | None:
    """What a path is a sidecar of: the path of a file, or of a folder (and True); None where it is no sidecar."""
    folder, slash, name = path.rpartition("/")
    found = _NAME.fullmatch(name)
    if found is None or "!/" in path:
        return None
    return (folder + slash + found[1], False) if found[1] else (folder, True)


def read_sidecars(files: Iterable[SourceFile]) -> Sidecars:
    """Read all sidecars among some files.

    Raises:
        UserError: one cannot be read, or two speak of the same; file, line and key are named.
    """
    sidecars = Sidecars()
    paths = set()
    with KnownFiles(None) as nothing_known:
        for file in files:
            paths.add(file.path)
            meant = sidecar_of(file.path)
            if meant is None:
                continue
            found = file.read(nothing_known, _MOST_BYTES)
            if isinstance(found, NoBytes):
                said = f"{found.reason} ({found.detail})" if found.detail else found.reason
                raise UserError(f"what it says of rights cannot be read: {said}", where=file.path)
            subject, is_folder = meant
            stated = sidecars.folders if is_folder else sidecars.files
            if subject in stated:
                raise UserError("there are two such files, one `.yaml` and one `.yml`", where=file.path)
            stated[subject] = _stated(found.data, file.path)
    sidecars.strays.update(sidecars.files.keys() - paths)
    return sidecars


def _stated(data: bytes, path: str) -> StatedRights:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"is not UTF-8 text (byte {error.start})", where=path) from None
    written = load_yaml(text, path)
    return validate(StatedRights, {} if written.data is None else written.data, written.lines, written.source)
