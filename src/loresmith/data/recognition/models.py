"""The two networks that recognise text, as files of the operator's: nothing is fetched.

They are ONNX files of the kind that PaddleOCR's become: one that finds lines (differentiable binarisation, Liao et al.,
2020), and one that reads a line (connectionist temporal classification, Graves et al., 2006) and has the characters
that it knows in its metadata, under `character`, one a line.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from loresmith.errors import UserError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ENGINE = "onnxruntime"
SETTING = "ocr_models"
_DETECTION, _RECOGNITION = "det", "rec"
_HINT = "name a folder with one file *det*.onnx, which finds lines, and one *rec*.onnx, which reads them"


@dataclass(frozen=True)
class RecognitionModels:
    """Which networks recognise text, and what they are run by.

    Attributes:
        folder: where they lie; no part of what they are.
        engine: the library and its version.
        detection, recognition: sha256 of the files.
    """

    folder: str
    engine: str
    detection: str
    recognition: str

    @property
    def identity(self) -> dict[str, str]:
        """What decides what they read."""
        return {"engine": self.engine, "detection": self.detection, "recognition": self.recognition}


@dataclass(frozen=True)
class Networks:
    """Both, loaded, and the characters that the second one knows; the first of them stands for none."""

    detection: InferenceSession
    recognition: InferenceSession
    characters: tuple[str, ...]


def find_models(folder: str) -> RecognitionModels:
    """The networks in a folder, which were loaded once to see that they are what they should be.

    Raises:
        UserError: the library is not installed, or the folder does not have what it needs.
    """
    try:
        engine = f"{ENGINE} {version(ENGINE)}"
    except PackageNotFoundError:
        raise UserError(
            "recognising scanned pages needs onnxruntime, which is not installed",
            where=SETTING,
            hint="install it: pip install 'loresmith[ocr]'",
        ) from None
    digests = (hashlib.sha256(_bytes(_only(folder, kind))).hexdigest() for kind in (_DETECTION, _RECOGNITION))
    models = RecognitionModels(folder, engine, *digests)
    load_networks(models)
    return models


@lru_cache(maxsize=1)
def load_networks(models: RecognitionModels) -> Networks:
    """The networks, ready to run on one thread.

    Raises:
        UserError: the files are no such networks, or not those that were found.
    """
    found, read = _session(models, _DETECTION, models.detection), _session(models, _RECOGNITION, models.recognition)
    listed = read.get_modelmeta().custom_metadata_map.get("character", "")
    characters = ("", *listed.removesuffix("\n").split("\n"), " ")
    classes = read.get_outputs()[0].shape[-1]
    if not listed or (isinstance(classes, int) and classes != len(characters)):
        raise UserError(
            f"{_only(models.folder, _RECOGNITION)} does not say which characters it knows",
            where=SETTING,
            hint="its metadata must have them as `character`, one a line",
        )
    return Networks(found, read, characters)


def _session(models: RecognitionModels, kind: str, sha256: str) -> InferenceSession:
    import onnxruntime

    file = _only(models.folder, kind)
    data = _bytes(file)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(f"{file} changed while it was used", where=SETTING, hint="run it again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # pages differ in size, and what one needed would be held for all
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the library's own classes have no base but this in common
        raise UserError(f"{file} is nothing that onnxruntime loads: {error}", where=SETTING, hint=_HINT) from None
    taken = [part.shape for part in session.get_inputs()]
    if len(taken) != 1 or len(taken[0]) != 4:
        raise UserError(f"{file} does not take one picture", where=SETTING, hint=_HINT)
    return session


def _only(folder: str, kind: str) -> Path:
    files = sorted(Path(folder).glob(f"*{kind}*.onnx"))
    if len(files) != 1:
        said = "no file" if not files else f"{len(files)} files"
        raise UserError(f"{said} *{kind}*.onnx in {folder}", where=SETTING, hint=_HINT)
    return files[0]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}", where=SETTING) from None
