"""The names of scores and flags, as a recipe may use them."""

from __future__ import annotations

SCORES = frozenset(
    {
        "alphabetic_words",
        "bits_per_byte",
        "boilerplate_characters",
        "boilerplate_paragraphs",
        "bullet_lines",
        "characters",
        "comment_characters",
        "control_lines",
        "curly_brackets",
        "data_characters",
        "digit_characters",
        "digits",
        "duplicate_10gram_characters",
        "duplicate_5gram_characters",
        "duplicate_6gram_characters",
        "duplicate_7gram_characters",
        "duplicate_8gram_characters",
        "duplicate_9gram_characters",
        "duplicate_line_characters",
        "duplicate_lines",
        "duplicate_paragraph_characters",
        "duplicate_paragraphs",
        "ellipses_per_word",
        "ellipsis_lines",
        "furniture_characters",
        "furniture_lines",
        "hashes_per_word",
        "javascript_lines",
        "known_language_bytes",
        "language_confidence",
        "language_share",
        "ligature_lines",
        "line_breaks_per_word",
        "lines",
        "long_line_characters",
        "longest_line",
        "longest_word",
        "mean_line_length",
        "mean_word_length",
        "mojibake_lines",
        "navigation_characters",
        "navigation_lines",
        "parses",
        "policy_lines",
        "repaired_lines",
        "replacement_characters",
        "seen_bytes",
        "sentences",
        "short_lines",
        "short_word_lines",
        "soft_hyphen_lines",
        "stop_words",
        "string_characters",
        "terminal_lines",
        "top_2gram_characters",
        "top_3gram_characters",
        "top_4gram_characters",
        "unmatched_brackets",
        "unnormalised_lines",
        "upper_case_letters",
        "white_space",
        "words",
        "zero_width_lines",
    }
)
"""And `language_share_` with a language."""

FLAGS = frozenset(
    {
        "empty",
        "lorem ipsum",
        "byte order mark",
        "crlf",
        "cookie banner",
        "mixed languages",
        "generated",
        "lock file",
        "metadata edited",
        "minified",
        "python 2",
    }
)
"""And `language:` and `licence:` with what follows; the bare words stand for all that begin so."""

_SHARE, _PREFIXES = "language_share_", ("language:", "licence:")


def is_score(name: str) -> bool:
    """Whether a rule may give a score of that name."""
    return name in SCORES or (name.startswith(_SHARE) and len(name) > len(_SHARE))


def is_flag(name: str) -> bool:
    """Whether a rule may give a flag of that name."""
    return name in FLAGS or name.startswith(_PREFIXES)
