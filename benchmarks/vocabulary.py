"""What new tokens gain on the text of a domain: merges that go on, against the tokens of a new vocabulary put in whole.

    python benchmarks/vocabulary.py MODEL FOLDER [--pattern '*.h'] [--tokens 1024] [--minimum-count 16] [--json]

MODEL is the folder of a model with a byte-level tokenizer; FOLDER holds the text, and a twentieth of its files are held
out. `added tokens` is the simple way: a vocabulary is trained on the same text, and as many of its tokens as the base
lacks, the earliest first, are added by `Tokenizer.add_tokens`. Bytes per token are of the held-out files, and of
general text, the documentation of this repository.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

from loresmith.data.domain_merges import count_words, learn_merges
from loresmith.models.vocabulary import extend_tokenizer, spelling_of

NEW_VOCABULARY = 16_000
GENERAL = Path(__file__).parents[1] / "docs"


def texts_of(folder: Path, pattern: str) -> tuple[list[str], list[str]]:
    """The texts to learn from, and those held out."""
    chance = random.Random(0)
    learnt: list[str] = []
    held_out: list[str] = []
    for path in sorted(folder.rglob(pattern)):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        (held_out if chance.random() < 0.05 else learnt).append(text)
    return learnt, held_out


def with_added_tokens(base: Path, texts: list[str], wanted: int) -> Tokenizer:
    """The simple way."""
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    known = tokenizer.get_vocab()
    anew = Tokenizer(models.BPE())
    anew.pre_tokenizer = tokenizer.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=NEW_VOCABULARY,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    anew.train_from_iterator(texts, trainer)
    spelled = (token for token, _ in sorted(anew.get_vocab().items(), key=lambda item: item[1]) if token not in known)
    whole = (text for text in map(tokenizer.decoder.decode, ([token] for token in spelled)) if "\ufffd" not in text)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for _, text in zip(range(wanted), whole, strict=False)])
    return tokenizer


def bytes_per_token(tokenizer: Tokenizer, texts: list[str]) -> float:
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    return sum(len(text.encode()) for text in texts) / sum(len(encoding.ids) for encoding in encodings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pattern", default="*", help="which files")
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--minimum-count", type=int, default=16)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    learnt, held_out = texts_of(arguments.folder, arguments.pattern)
    began = time.process_time()
    words = count_words(arguments.model, (learnt[start : start + 16] for start in range(0, len(learnt), 16)))
    counted = time.process_time()
    spelling = spelling_of(arguments.model)
    merges = learn_merges(words, spelling, arguments.tokens, arguments.minimum_count)
    learning = time.process_time() - counted
    with tempfile.TemporaryDirectory() as folder:
        extend_tokenizer(arguments.model, Path(folder), [(merge.left, merge.right, merge.token) for merge in merges])
        tokenizers = {
            "base": Tokenizer.from_file(str(arguments.model / "tokenizer.json")),
            "merges that go on": Tokenizer.from_file(f"{folder}/tokenizer.json"),
            "added tokens": with_added_tokens(arguments.model, learnt, len(merges)),
        }
    general = [path.read_text(encoding="utf-8") for path in sorted(GENERAL.glob("*.md"))]
    answer = {
        "megabytes": round(sum(len(text.encode()) for text in learnt) / 1e6, 1),
        "new_tokens": len(merges),
        "counting_seconds": round(counted - began, 1),
        "learning_seconds": round(learning, 1),
        "held_out": {name: round(bytes_per_token(each, held_out), 3) for name, each in tokenizers.items()},
        "general": {name: round(bytes_per_token(each, general), 3) for name, each in tokenizers.items()},
    }
    if arguments.json:
        print(json.dumps(answer))
        return
    print(f"{answer['new_tokens']} new tokens from {answer['megabytes']} MB, bytes per token")
    for name in tokenizers:
        print(f"{name:20} held out {answer['held_out'][name]:.3f}   general {answer['general'][name]:.3f}")


if __name__ == "__main__":
    main()
