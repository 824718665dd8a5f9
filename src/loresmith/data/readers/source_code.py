"""Source code: read as it is written, with the language that its name tells."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loresmith.data.decoding import decode
from loresmith.data.readers.record import ReadingRules, Record

# PEP 263: in a comment of the first or second line; Emacs and Vim write it so in other languages, too.
_DECLARED = re.compile(rb"\A(?:[^\r\n]*\r?\n)?[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")

_LANGUAGES = {
    "python": ".py .pyi .pyw",
    "c": ".c .h",
    "c++": ".cc .cpp .cxx .hh .hpp .hxx",
    "c#": ".cs",
    "java": ".java",
    "kotlin": ".kt .kts",
    "scala": ".scala",
    "go": ".go go.mod",
    "rust": ".rs",
    "swift": ".swift",
    "javascript": ".js .mjs .cjs .jsx",
    "typescript": ".ts .mts .cts .tsx",
    "php": ".php",
    "ruby": ".rb gemfile rakefile",
    "perl": ".pl .pm",
    "lua": ".lua",
    "r": ".r",
    "julia": ".jl",
    "haskell": ".hs",
    "ocaml": ".ml .mli",
    "elixir": ".ex .exs",
    "erlang": ".erl",
    "clojure": ".clj",
    "lisp": ".lisp .el",
    "fortran": ".f .f90 .f95",
    "cobol": ".cob .cbl",
    "ada": ".adb .ads",
    "pascal": ".pas",
    "assembly": ".s .asm",
    "verilog": ".v .sv",
    "vhdl": ".vhd .vhdl",
    "structured-text": ".st",
    "tcl": ".tcl",
    "shell": ".sh .bash .zsh",
    "powershell": ".ps1 .psm1",
    "batch": ".bat .cmd",
    "sql": ".sql",
    "css": ".css .scss",
    "json": ".json",
    "yaml": ".yaml .yml",
    "toml": ".toml",
    "ini": ".ini .cfg",
    "xml": ".xml .xsd .xsl",
    "make": ".mk makefile gnumakefile",
    "cmake": ".cmake cmakelists.txt",
    "dockerfile": ".dockerfile dockerfile",
    "terraform": ".tf",
    "protobuf": ".proto",
    "graphql": ".graphql",
    "tex": ".tex .sty .cls",
}
LANGUAGE_BY_NAME = {name: language for language, names in _LANGUAGES.items() for name in names.split()}
"""Language by lower-case file extension (with its dot), or by whole lower-case file name."""


def read_source_code(data: bytes, rules: ReadingRules) -> Iterator[Record]:
    """One record with the whole text; an encoding that its first two lines declare is respected."""
    declared = _DECLARED.match(data)
    yield Record(decode(data, rules.encodings, declared[1].decode("ascii", "replace") if declared else None), len(data))
