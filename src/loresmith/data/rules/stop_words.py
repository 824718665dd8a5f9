"""Words that prose of a language cannot do without.

English has the eight of Gopher (Rae et al., 2021, appendix A.1). For the other languages they are eight of the most
frequent words without a meaning of their own: the article, "to be", "of", "and", ...
"""

from __future__ import annotations

_WORDS = {
    "en": "the be to of and that have with",
    "de": "der die und ist von mit nicht das",
    "fr": "le la de et est que les des",
    "es": "el la de y es que los en",
    "it": "il la di e è che non per",
    "pt": "o a de e é que não para",
    "nl": "de het een van en is dat niet",
    "sv": "och att det är en som på av",
    "da": "og at det er en som på af",
    "no": "og å det er en som på av",
    "fi": "ja on ei se että oli mutta kun",
    "pl": "i w na z nie się jest do",
    "cs": "a v na se je že to s",
    "hu": "a az és nem hogy egy is van",
    "ro": "și de la în nu este o cu",
    "tr": "ve bir bu da de için ile ne",
    "ru": "и в не на что с как это",
    "uk": "і в не на що з як це",
}
STOP_WORDS = {language: frozenset(words.split()) for language, words in _WORDS.items()}
"""By ISO 639-1 code; languages that are written without white space have none here."""
