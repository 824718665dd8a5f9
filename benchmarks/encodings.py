"""How well detectors of encodings find those of short texts: `python -m benchmarks.encodings [--json]`.

Article 1 of the Universal Declaration of Human Rights, with a heading and numbers as documents have them, is written
in each language's older encodings and cut to several lengths. An answer is right when the text it decodes to is the
one that was written, whatever the encoding is called. Needs `pip install charset-normalizer==3.5.2 chardet==7.7.0`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEXTS: dict[str, str] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
ENCODINGS = {
    "utf-8": "de fr pl ru zh ja",
    "cp1252": "de fr es",
    "cp1250": "pl cs hu",
    "iso8859-2": "pl cs hu",
    "cp1251": "ru uk",
    "koi8-r": "ru",
    "cp1253": "el",
    "cp1254": "tr",
    "gb18030": "zh",
    "big5": "zh-TW",
    "shift_jis": "ja",
    "euc-jp": "ja",
    "euc-kr": "ko",
    "utf-16-le": "de ru ja zh",
    "utf-16-be": "de ru ja zh",
}
LENGTHS = (40, 100, 1000, 10_000)
"""In characters; longer ones repeat the text."""


def cases() -> list[tuple[str, str, int, bytes]]:
    """Encoding, text, length and bytes."""
    found = []
    for encoding, languages in ENCODINGS.items():
        for language in languages.split():
            for length in LENGTHS:
                text = (TEXTS[language] + "\n") * (length // len(TEXTS[language]) + 1)
                data = text[:length].encode(encoding, "ignore")
                found.append((encoding, data.decode(encoding), length, data))
    return found


def _charset_normalizer(data: bytes) -> tuple[str, float]:
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    return (best.encoding, 1 - best.chaos) if best else ("", 0.0)


def _chardet(data: bytes) -> tuple[str, float]:
    import chardet

    found = chardet.detect(data)
    return found["encoding"] or "", found["confidence"] or 0.0


def _ours(data: bytes) -> tuple[str, float]:
    from loresmith.data.encoding_guess import guess_encoding

    found = guess_encoding(data)
    return (found.encoding, found.confidence) if found else ("", 0.0)


def measure(detect: Callable[[bytes], tuple[str, float]]) -> dict[str, Any]:
    """Print the share of right answers by encoding and length, what is wrong, and the time; returns the sums."""
    right: dict[tuple[str, int], list[bool]] = {}
    wrong, seconds, size = [], 0.0, 0
    for encoding, text, length, data in cases():
        started = time.perf_counter()
        answer, confidence = detect(data)
        seconds += time.perf_counter() - started
        size += len(data)
        try:
            hit = bool(answer) and data.decode(answer) == text
        except (UnicodeError, LookupError):
            hit = False
        right.setdefault((encoding, length), []).append(hit)
        if not hit:
            wrong.append((encoding, length, answer or "none", round(confidence, 2)))
    hits = [hit for found in right.values() for hit in found]
    print(f"{sum(hits)}/{len(hits)} right, {size / seconds / 1e6:.2f} MB/s")
    for length in LENGTHS:
        found = [hit for (_, one), many in right.items() if one == length for hit in many]
        print(f"  {length} characters: {sum(found)}/{len(found)}")
    for row in wrong:
        print("   wrong:", *row)
    return {"right": sum(hits), "of": len(hits), "mb_s": round(size / seconds / 1e6, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    options = parser.parse_args()
    results = {}
    for name, detect in (("charset-normalizer", _charset_normalizer), ("chardet", _chardet), ("ours", _ours)):
        try:
            detect(b"warm up")
        except ImportError as error:
            print(f"{name}: {error}")
            continue
        print(name)
        results[name] = measure(detect)
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
