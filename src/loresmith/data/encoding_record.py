"""Whether the fast encoder agreed with the tokenizer itself on a sample of texts: encoding.json beside tokenizer.json.

What is recorded holds for one tokenizer.json and for the versions of the libraries that were compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tokenizers import Tokenizer

from loresmith.data.corpus import read_documents
from loresmith.data.fast_encoding import FastEncoding, NotFast, fast_library
from loresmith.data.sampling import in_sample

RECORD_FILE = "encoding.json"

PROBES = (
    "",
    " ",
    "\n",
    "  12 a  34\n\n\n    x += 0x1F\t# tabs\r\nlast line  ",
    "The quick brown fox, it's said, jumps over 13 lazy dogs; 1,234,567.89 times. WE'RE, 'self', ''Tis",
    "Größe: 5 µm, naïve café — “quoted”… 東京 и Москва, \U0001f642\U0001f1eb\U0001f1f7 e\u0301 \u017f \u212a",
    "<|endoftext|><|im_start|>user\nhi<|im_end|></s><unk>[INST] <|reserved_0|>",
    "\u00a0\u2003\u3000 \u200b\ufeff\u2028x\u0085y \x00\x01\x7f \ufffd\ue000\U0010ffff",
)
"""Texts on which encoders that differ are likely to differ; compared besides the sample."""


class EncodingRecord(BaseModel):
    """What came of a comparison."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    tokenizer: str = Field(description="sha256 of the tokenizer.json that was compared.")
    libraries: tuple[str, str] = Field(description="The tokenizer's library and the fast one, with their versions.")
    agreed: bool = Field(description="Whether all ids were equal, so that the fast encoder is used.")
    reason: str = Field(description="Why it is not used; empty where it is.")
    documents: int = Field(ge=0, description="Documents of the user's that were compared.")
    bytes: int = Field(ge=0, description="How long they are, in bytes of UTF-8.")

    def facts(self) -> dict[str, str | int]:
        """For an asset's metadata: what encodes, how many documents were compared, and why it is the slower one."""
        return {"library": self.libraries[self.agreed], "compared": self.documents, "reason": self.reason}


def compare_encoders(
    directory: Path, texts: Iterable[tuple[str, str]], fast: FastEncoding | None = None
) -> EncodingRecord:
    """Encode a sample of documents with both, up to the first on which they disagree.

    Args:
        directory: with a tokenizer.json.
        texts: name and text of each document of the sample.
        fast: the faster encoder; None: the tokenizer's own, if there is one.
    """
    tokenizer = open_tokenizer(directory)
    documents = size = 0
    reason = ""
    try:
        fast = fast or FastEncoding(tokenizer)
    except NotFast as error:
        reason = str(error)
    else:
        for name, text in (*(("a probe", probe) for probe in PROBES), *texts):
            if not agree(tokenizer, fast, text):
                reason = f"the ids of {name} differ"
                break
            if name != "a probe":
                documents += 1
                size += len(text.encode())
    return EncodingRecord(
        tokenizer=_digest(directory),
        libraries=libraries(),
        agreed=not reason,
        reason=reason,
        documents=documents,
        bytes=size,
    )


def sample_of(corpus: Path, look: Callable[[], None], sample_bytes: int = 4_000_000) -> Iterator[tuple[str, str]]:
    """Path and text of some documents of a corpus, of all splits.

    Args:
        corpus: an asset of this kind.
        look: called after each batch; it may raise to stop.
        sample_bytes: about how much text, in bytes.
    """
    whole = sum(sum(batch.to_pydict()["bytes"]) for batch in read_documents(corpus, ("bytes",)))
    for batch in read_documents(corpus, ("id", "path", "text")):
        for row in batch.to_pylist():
            if in_sample(row["id"], sample_bytes, whole):
                yield row["path"], row["text"]
        look()


def agree(tokenizer: Tokenizer, fast: FastEncoding, text: str) -> bool:
    """Whether both give the same ids for a text."""
    ids = fast.ids(text)
    return ids is None or np.array_equal(ids, tokenizer.encode(text, add_special_tokens=False).ids)


def open_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer of a folder, for which text that spells a special token is text, of any length."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def write_record(record: EncodingRecord, directory: Path) -> None:
    """Write the record where `agreement_holds` looks for it."""
    (directory / RECORD_FILE).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def agreement_holds(directory: Path) -> bool:
    """Whether a record says that the fast encoder agreed with this tokenizer.json, in the versions installed here."""
    file = directory / RECORD_FILE
    if not file.is_file():
        return False
    try:
        record = EncodingRecord.model_validate_json(file.read_bytes())
    except ValidationError:  # of another format: it is as if there were none
        return False
    return record.agreed and record.tokenizer == _digest(directory) and record.libraries == libraries()


def libraries() -> tuple[str, str]:
    return f"tokenizers {version('tokenizers')}", fast_library()


def _digest(directory: Path) -> str:
    return hashlib.sha256((directory / "tokenizer.json").read_bytes()).hexdigest()
