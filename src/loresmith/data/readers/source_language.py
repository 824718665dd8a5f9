"""The language of source code, by its file's name, and by its content where the name leaves it open.

What an extension means is a convention, and some have several: a `.h` may be C, C++ or Objective-C, a `.pl` Perl or
Prolog. A script without an extension says on its first line what runs it. The rules look for what one language writes
all the time and the others cannot; where none is found, the more frequent language of the name is taken.
"""

from __future__ import annotations

import posixpath
import re

_LANGUAGES = {
    "python": ".py .pyi .pyw .pyx sconstruct",
    "c": ".c .h",
    "c++": ".cc .cpp .cxx .c++ .hh .hpp .hxx .h++ .ipp .tpp .inl .ino",
    "objective-c": ".m",
    "objective-c++": ".mm",
    "cuda": ".cu .cuh",
    "c#": ".cs .csx",
    "f#": ".fs .fsi .fsx",
    "visual-basic": ".vb .bas .vbs",
    "java": ".java",
    "kotlin": ".kt .kts",
    "scala": ".scala .sbt",
    "groovy": ".groovy .gradle jenkinsfile",
    "dart": ".dart",
    "go": ".go go.mod",
    "rust": ".rs",
    "zig": ".zig",
    "nim": ".nim",
    "d": ".d",
    "swift": ".swift",
    "javascript": ".js .mjs .cjs .jsx",
    "typescript": ".ts .mts .cts .tsx",
    "php": ".php .phtml",
    "ruby": ".rb .rake .gemspec gemfile rakefile vagrantfile",
    "perl": ".pl .pm .t",
    "prolog": ".pro .prolog",
    "lua": ".lua",
    "r": ".r",
    "julia": ".jl",
    "matlab": ".mlx",
    "haskell": ".hs .lhs",
    "ocaml": ".ml .mli",
    "elixir": ".ex .exs",
    "erlang": ".erl .hrl",
    "clojure": ".clj .cljs .cljc .edn",
    "lisp": ".lisp .el .cl .scm .rkt",
    "fortran": ".f .for .f77 .f90 .f95 .f03 .f08",
    "cobol": ".cob .cbl .cpy",
    "ada": ".adb .ads",
    "pascal": ".pas .dpr .lpr",
    "assembly": ".s .asm .nasm",
    "verilog": ".v .vh .sv .svh",
    "vhdl": ".vhd .vhdl",
    "structured-text": ".st .scl",
    "smalltalk": ".squeak",
    "tcl": ".tcl",
    "awk": ".awk",
    "shell": ".sh .bash .zsh .ksh .fish .bashrc .zshrc .profile",
    "powershell": ".ps1 .psm1 .psd1",
    "batch": ".bat .cmd",
    "sql": ".sql",
    "css": ".css .scss .sass .less",
    "vue": ".vue",
    "svelte": ".svelte",
    "glsl": ".glsl .vert .frag",
    "json": ".json",
    "yaml": ".yaml .yml",
    "toml": ".toml",
    "ini": ".ini .cfg",
    "xml": ".xml .xsd .xsl .xslt .wsdl .plist",
    "make": ".mk .mak makefile gnumakefile",
    "cmake": ".cmake cmakelists.txt",
    "starlark": ".bzl .star build.bazel workspace.bazel",
    "nix": ".nix",
    "dockerfile": ".dockerfile dockerfile containerfile",
    "terraform": ".tf .tfvars",
    "protobuf": ".proto",
    "graphql": ".graphql .gql",
    "tex": ".tex .sty .cls",
}
LANGUAGE_BY_NAME = {name: language for language, names in _LANGUAGES.items() for name in names.split()}
"""Language by lower-case file extension (with its dot), or by whole lower-case file name."""

_INTERPRETERS = {
    "python": "python pypy ipython sage",
    "shell": "sh bash dash ash zsh ksh mksh fish busybox",
    "perl": "perl",
    "ruby": "ruby jruby rake",
    "javascript": "node nodejs bun gjs osascript",
    "typescript": "deno ts-node tsx",
    "php": "php",
    "lua": "lua luajit texlua",
    "r": "rscript r littler",
    "julia": "julia",
    "tcl": "tclsh wish expect",
    "awk": "awk gawk mawk nawk",
    "make": "make gmake",
    "groovy": "groovy",
    "scala": "scala amm",
    "swift": "swift",
    "haskell": "runghc runhaskell stack",
    "erlang": "escript",
    "elixir": "elixir",
    "lisp": "guile racket sbcl clisp emacs scheme",
    "clojure": "bb clojure",
    "prolog": "swipl gprolog",
    "ocaml": "ocaml",
    "powershell": "pwsh powershell",
    "java": "java jshell",
}
_BY_INTERPRETER = {name: language for language, names in _INTERPRETERS.items() for name in names.split()}
_BY_MODE = {  # what Emacs and Vim call languages otherwise than we do
    **{language: language for language in _LANGUAGES},
    **{"cpp": "c++", "objc": "objective-c", "objcpp": "objective-c++", "cs": "c#", "csharp": "c#", "sh": "shell"},
    **{
        "shell-script": "shell",
        "bash": "shell",
        "zsh": "shell",
        "js": "javascript",
        "js2": "javascript",
        "node": "javascript",
    },
    **{
        "ts": "typescript",
        "cperl": "perl",
        "emacs-lisp": "lisp",
        "scheme": "lisp",
        "common-lisp": "lisp",
        "asm": "assembly",
    },
    **{"makefile": "make", "octave": "matlab", "f90": "fortran", "latex": "tex", "nxml": "xml", "dosbatch": "batch"},
    **{"ps1": "powershell", "systemverilog": "verilog", "golang": "go", "py": "python"},
}
_SHEBANG = re.compile(r"#!\s*(\S+)([^\n]*)")
_ENV_ARGUMENT = re.compile(r"(?:\s+(?:-\S+|\w+=\S*))*\s+(\S+)")
_VERSION = re.compile(r"[-\d.]+\Z")
_EMACS = re.compile(
    r"\A(?:[^\n]*\n)?[^\n]*-\*-[ \t]*(?:[^\n]*?\bmode:[ \t]*)?([\w+#-]+)[ \t]*(?:;[^\n]*)?-\*-", re.IGNORECASE
)
_VIM = re.compile(r"\b(?:vim?|ex):[^\n]{0,100}?\b(?:ft|filetype|syntax)=([\w+#-]+)")


def _rule(*languages_and_signs: str) -> list[tuple[str, re.Pattern[str]]]:
    pairs = zip(languages_and_signs[::2], languages_and_signs[1::2], strict=True)
    return [(language, re.compile(sign, re.MULTILINE)) for language, sign in pairs]


_OBJECTIVE_C = r"^[ \t]*(?:@(?:interface|implementation|protocol|property|import|class|end)\b|#import\b)"
_CPP = (
    r"^[ \t]*(?:class|namespace|template|using)\b(?!\s*[=(,;])|^[ \t]*(?:public|private|protected)[ \t]*:|"
    r"\bstd::|\bconstexpr\b|^[ \t]*#[ \t]*include[ \t]*<(?:algorithm|atomic|array|chrono|cstdint|cstdio|cstdlib|"
    r"cstring|functional|iostream|map|memory|mutex|optional|set|sstream|string|string_view|thread|tuple|unordered_map|utility|variant|vector)>|"
    r"\bvirtual[ \t]+[\w~]|\boperator[ \t]*[-+*/=<>!&|\[(]"
)
_BY_CONTENT = {  # in order; the last resort is the language of the name
    ".h": _rule("objective-c", _OBJECTIVE_C, "c++", _CPP),
    ".m": _rule(
        *("objective-c", _OBJECTIVE_C + r"|^[ \t]*(?://|/\*|#(?:include|define|if))"),
        *("mathematica", r"\A\s*\(\*|\bBeginPackage\[|:=\s*(?:Module|Block|With)\["),
        *("matlab", r"^[ \t]*(?:%|function\b|end\b|classdef\b)|\.\*|;[ \t]*$|^[ \t]*\w+[ \t]*="),
    ),
    ".pl": _rule(
        *(
            "perl",
            r"^[ \t]*(?:use|require)[ \t]+[\w:]+|^[ \t]*(?:my|our|local|sub)\b|[$@%]\w+[ \t]*(?:=|->|\{|\[)|"
            r"^=(?:pod|head)",
        ),
        *("prolog", r"^[ \t]*:-[ \t]*\w|^[a-z]\w*(?:\([^)\n]*\))?[ \t]*(?::-|-->)|^[a-z]\w*\([^)\n]*\)\.[ \t]*$"),
    ),
    ".pro": _rule(
        *("prolog", r"^[ \t]*:-[ \t]*\w|^[a-z]\w*(?:\([^)\n]*\))?[ \t]*:-"),
        *("make", r"^[ \t]*(?:TEMPLATE|CONFIG|QT|SOURCES|HEADERS|TARGET)[ \t]*[+-]?="),
    ),
    ".ts": _rule("xml", r"\A\s*<(?:\?xml|!DOCTYPE TS)"),
    ".v": _rule(
        "coq", r"^[ \t]*(?:Require|Import|Theorem|Lemma|Definition|Inductive|Fixpoint|Proof|Qed)\b[^;\n]*\.[ \t]*$"
    ),
    ".st": _rule("smalltalk", r"^!\w+.*!|\bmethodsFor:|\bsubclass:[ \t]*#"),
    ".cls": _rule(
        *("tex", r"^[ \t]*(?:%|\\(?:NeedsTeXFormat|ProvidesClass|LoadClass))"),
        *("visual-basic", r"\AVERSION [\d.]+ CLASS|^Attribute VB_"),
        *(
            "apex",
            r"\b(?:public|global|private)[ \t]+(?:(?:with|without)[ \t]+sharing[ \t]+|virtual[ \t]+|abstract[ \t]+)*"
            r"class\b",
        ),
    ),
    ".t": _rule("turing", r"^[ \t]*(?:put|var[ \t]+\w+[ \t]*:|proc(?:edure)?)\b"),
    ".d": _rule("make", r"\A[^\n:]+\.(?:o|lo|d|obj)[ \t]*:"),
    ".fs": _rule("glsl", r"^[ \t]*#version\b|\bgl_\w+|^[ \t]*(?:uniform|varying|precision)\b"),
    ".r": _rule("rebol", r"\A\s*REBOL\b"),
    ".s": _rule(),
    "": _rule("php", r"\A\s*<\?php\b", "xml", r"\A\s*<\?xml\b"),
}


def source_language(path: str, head: bytes = b"") -> str:
    """The language of a file of source code; empty if neither its name nor its content is of one.

    Args:
        head: the file's beginning, as much as there is at hand; without any, the name alone decides.
    """
    name = posixpath.basename(path).lower()
    extension = posixpath.splitext(name)[1]
    text = head.decode("latin-1").removeprefix("ï»¿").replace("\r\n", "\n")
    named = LANGUAGE_BY_NAME.get(name) or LANGUAGE_BY_NAME.get(extension, "")
    if named and extension not in _BY_CONTENT:
        return named
    if not named and extension:
        return ""
    if extension == ".ts" and is_transport_stream(head):
        return ""
    said = _said(text)
    if said:
        return said
    return next((language for language, sign in _BY_CONTENT[extension] if sign.search(text)), named)


def is_transport_stream(head: bytes) -> bool:
    """Whether it is video in packets of 188 bytes (MPEG-2), which has TypeScript's extension."""
    return len(head) > 188 and head[0] == head[188] == 0x47


def _said(text: str) -> str:
    """The language that the file itself names: by what runs it, or for the editor."""
    shebang = _SHEBANG.match(text)
    if shebang:
        program, arguments = posixpath.basename(shebang[1]), shebang[2]
        if program == "env":
            found = _ENV_ARGUMENT.match(arguments)
            program = posixpath.basename(found[1]) if found else ""
        program = program.lower()
        language = _BY_INTERPRETER.get(program) or _BY_INTERPRETER.get(_VERSION.sub("", program), "")
        if language:
            return language
    mode = _EMACS.match(text[:500]) or _VIM.search(text)
    return _BY_MODE.get(mode[1].lower(), "") if mode else ""
