"""GGUF files, the form in which llama.cpp keeps models: what they say of themselves, and what they hold.

The form: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. It is data throughout; nothing in it is run.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from loresmith.errors import UserError

NEEDED = ("gguf", "accelerate")
INSTALL = "pip install 'gguf>=0.19,<0.20' 'accelerate>=1.15,<2'"


@dataclass(frozen=True)
class GgufFile:
    """What a file says.

    Attributes:
        path: where it lies.
        said: its metadata, but for long lists.
        tokens: how many tokens its vocabulary has.
        weights: how many numbers each tensor has.
        types: how many tensors are of each type, such as `Q4_1`.
    """

    path: Path
    said: dict[str, Any]
    tokens: int
    weights: dict[str, int]
    types: Counter[str]

    @property
    def architecture(self) -> str:
        return str(self.said.get("general.architecture", ""))

    @property
    def quantisation(self) -> str:
        """The type that most tensors have, but for the norms, which are always plain."""
        blocks = Counter({name: count for name, count in self.types.items() if name not in ("F32",)})
        return (blocks or self.types).most_common(1)[0][0]


def require_gguf_packages() -> None:
    """Raise UserError if the packages of the extra are not installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"reading a GGUF file needs the Python package{'s' * (len(missing) > 1)} {' and '.join(missing)}",
            hint=f"{INSTALL}, which is Loresmith's extra `gguf`",
        )


def read_gguf(path: Path) -> GgufFile:
    """Read a file's header, and make sure that every tensor lies inside the file.

    Raises:
        UserError: the packages are missing; it is no GGUF file, or damaged or cut short.
    """
    require_gguf_packages()
    from gguf import GGUFReader

    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic != b"GGUF":
            raise UserError("this is no GGUF file: it does not begin with GGUF", where=str(path))
        reader = GGUFReader(path)
        said = {key: field.contents() for key, field in reader.fields.items() if len(field.data) <= 64}
        vocabulary = reader.fields.get("tokenizer.ggml.tokens")
        tokens = len(vocabulary.data) if vocabulary is not None else 0
        weights = {tensor.name: int(tensor.n_elements) for tensor in reader.tensors}
    except (ValueError, IndexError, KeyError, OverflowError, OSError) as error:
        raise UserError(f"the GGUF file is damaged or cut short: {error}", where=str(path)) from error
    if not weights or "general.architecture" not in said:
        raise UserError("the GGUF file holds no model: no tensors, or no general.architecture", where=str(path))
    if not tokens:
        raise UserError("the GGUF file holds no vocabulary", where=str(path))
    return GgufFile(path, said, tokens, weights, Counter(tensor.tensor_type.name for tensor in reader.tensors))


def require_faithful(file: GgufFile) -> None:
    """Raise UserError for what transformers would leave out of the file, and so compute something else.

    It reads the tensors and most of the geometry, but neither factors nor a scaling of the rotary embedding; what it
    does not know of the tokenizer see `gguf_tokenizer`.
    """
    scaling = file.said.get(f"{file.architecture}.rope.scaling.type", "none")
    if scaling != "none" or "rope_freqs.weight" in file.weights:
        raise UserError(
            "the rotary embedding of this GGUF file is scaled, which transformers does not read from it",
            where=str(file.path),
            hint="import the model's safetensors folder instead",
        )
