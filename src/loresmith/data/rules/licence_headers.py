"""The licence that a file says it is under, at its beginning."""

from __future__ import annotations

import re

_HEAD = 6000  # characters
_SPDX = re.compile(r"SPDX-License-Identifier:\s*([\w.+() -]{2,80}?)\s*(?:\*/|-->|\"|'|$)", re.MULTILINE)
_PHRASES = (  # a more particular phrase before a more general one
    ("AGPL", "gnu affero general public licen"),
    ("LGPL", "gnu (?:lesser|library) general public licen"),
    ("GPL", "gnu general public licen|licen[sc]ed under the gpl"),
    ("Apache-2.0", "apache licen[sc]e,? (?:version )?2|apache\\.org/licenses/license-2\\.0"),
    ("MPL-2.0", "mozilla public licen[sc]e,? (?:v\\. ?|version )?2"),
    ("EPL", "eclipse public licen[sc]e"),
    (
        "MIT",
        "permission is hereby granted, free of charge|under the (?:terms of the )?mit licen[sc]e|mit licen[sc]ed?\\b",
    ),
    ("ISC", "permission to use, copy, modify, and(?:/or)? distribute this software for any purpose|isc licen[sc]e"),
    ("BSD", "redistribution and use in source and binary forms|bsd[- ](?:style )?licen[sc]e|bsd-[234]-clause"),
    ("PSF", "python software foundation licen[sc]e|licensed to psf under"),
    ("CC0-1.0", "cc0 1\\.0|creativecommons\\.org/publicdomain/zero"),
    ("Unlicense", "this is free and unencumbered software"),
    ("public domain", "(?:in|into|to) the public domain"),
    ("proprietary", "all rights reserved|confidential and proprietary|unauthorized copying"),
)
_KNOWN = tuple((name, re.compile(phrase)) for name, phrase in _PHRASES)
_SIGN = re.compile(r"licen|permission|redistribution|public domain|rights reserved|proprietary|copying|bsd-|cc0|zero")
_MARKS = re.compile(r"[\s*#/;%!-]+")


def licence_header(text: str) -> str:
    """As the SPDX line says, else by known phrases, roughly by family; "" if there is neither."""
    head = text[:_HEAD]
    spdx = _SPDX.search(head)
    if spdx:
        return spdx[1].strip()
    folded = head.lower()
    if not _SIGN.search(folded):
        return ""
    plain = _MARKS.sub(" ", folded)
    return next((name for name, phrase in _KNOWN if phrase.search(plain)), "")
