"""The formulas of the measures, written out one by one as their sources have them, without regard to speed."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

STOP = {"en": {"the", "be", "to", "of", "and", "that", "have", "with"}}
ENDS = (".", "?", "!", '"', "'", "”", "’", "»", "…", "。", "？", "！", "।", "؟", "۔")


def _ideograph(character: str) -> bool:
    code = ord(character)
    ranges = ((0x2E80, 0x30FF), (0x31F0, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x31FFF))
    return any(first <= code <= last for first, last in ranges)


def words_of(text: str) -> list[str]:
    spaced = "".join(f" {character} " if _ideograph(character) else character for character in text.lower())
    return spaced.split()


def _letter(character: str) -> bool:
    return unicodedata.category(character)[0] == "L" or (character.isalnum() and not character.isdecimal())


def _number(word: str) -> bool:
    """Whether it is a number with an exponent, whose e is no letter."""
    if "e" not in word or not set(word) <= set("0123456789+-.e,;"):
        return False
    try:
        float(word[:-1] if word[-1] in ",;" else word)
    except ValueError:
        return False
    return True


def _in_repeats(words: list[str], n: int) -> float:
    grams = [tuple(words[place : place + n]) for place in range(len(words) - n + 1)]
    covered: set[int] = set()
    for place, gram in enumerate(grams):
        if gram in grams[:place]:
            covered.update(range(place, place + n))
    return sum(len(words[place]) for place in covered) / sum(map(len, words))


def _in_top(words: list[str], n: int) -> float:
    grams = [tuple(words[place : place + n]) for place in range(len(words) - n + 1)]
    counts = Counter(grams)
    if not grams or max(counts.values()) < 2:
        return 0.0
    best = min(counts, key=lambda gram: (-counts[gram], -sum(map(len, gram)), grams.index(gram)))
    covered: set[int] = set()
    for place, gram in enumerate(grams):
        if gram == best:
            covered.update(range(place, place + n))
    return sum(len(words[place]) for place in covered) / sum(map(len, words))


def _repeats(passages: list[str]) -> tuple[float, float]:
    again = [passage for place, passage in enumerate(passages) if passage in passages[:place]]
    return len(again) / len(passages), sum(map(len, again)) / sum(map(len, passages))


def slow_scores(text: str) -> dict[str, float]:
    """All of a text with ink, in English."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    paragraphs = [part.strip() for part in re.split(r"\n(?:[^\S\n]*\n)+", text) if part.strip()]
    words = words_of(text)
    real = [word for word in words if any(_letter(character) or character.isdecimal() for character in word)]
    scores = {
        "characters": len(text),
        "words": len(real),
        "longest_word": max(map(len, words)),
        "alphabetic_words": sum(any(map(_letter, word)) and not _number(word) for word in words) / len(words),
        "hashes_per_word": text.count("#") / len(words),
        "ellipses_per_word": len(re.findall(r"\.\.\.|…", text)) / len(words),
        "line_breaks_per_word": text.count("\n") / len(words),
        "stop_words": len(STOP["en"] & set(words)),
        "lines": len(lines),
        "bullet_lines": sum(line[0] in "-*•‣▪●○◦–·" for line in lines) / len(lines),
        "ellipsis_lines": sum(line[-1] == "…" or line[-3:] == "..." for line in lines) / len(lines),
        "terminal_lines": sum(line[-1] in ENDS for line in lines) / len(lines),
        "short_lines": sum(len(line) < 31 for line in lines) / len(lines),
        "short_word_lines": sum(len(line.split()) < 3 for line in lines) / len(lines),
        "curly_brackets": sum(character in "{}" for character in text) / len(text),
        "javascript_lines": sum("javascript" in line.lower() for line in lines) / len(lines),
        "digit_characters": sum(character.isdecimal() for character in text) / len(text),
        "replacement_characters": sum(character == "\ufffd" for character in text) / len(text),
    }
    if real:
        scores["mean_word_length"] = sum(map(len, real)) / len(real)
    cased = [character for character in text if character.isupper() or character.islower()]
    if cased:
        scores["upper_case_letters"] = sum(map(str.isupper, cased)) / len(cased)
    scores["duplicate_lines"], scores["duplicate_line_characters"] = _repeats(lines)
    scores["duplicate_paragraphs"], scores["duplicate_paragraph_characters"] = _repeats(paragraphs)
    scores |= {f"top_{n}gram_characters": _in_top(words, n) for n in (2, 3, 4)}
    scores |= {f"duplicate_{n}gram_characters": _in_repeats(words, n) for n in range(5, 11)}
    return {name: float(score) for name, score in scores.items()}
