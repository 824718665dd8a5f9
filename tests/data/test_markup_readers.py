from __future__ import annotations

import json
import pydoc
import sysconfig
import time
from pathlib import Path

import pytest

from loresmith.data.file_types import file_type
from loresmith.data.readers.latex import read_latex
from loresmith.data.readers.record import Reader, ReadingRules, Record, Refused
from loresmith.data.readers.rst import read_rst
from loresmith.data.readers.rtf import read_rtf

RULES = ReadingRules()


def _read(read: Reader, data: bytes) -> Record:
    (record,) = read(data, RULES)
    assert isinstance(record, Record), record
    assert record.bytes == len(data)
    return record


RTF = rb"""{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fcharset0 Times;}{\f1\fcharset204 Arial;}{\f2\fcharset128 MS;}}
{\colortbl;\red0;}{\stylesheet{\s0 Normal;}{\s1\b heading 1;}}{\info{\title Pr\'fcfbuch}{\author J\'fcrgen}}
{\header KOPFZEILE\par}\pard\s1 Kapitel \'c4\par
\pard Gr\'f6\'dfe \b fett\b0  und \uc1\u8364?uro \uc2\u-10179\'3f?\u-8640??!{\v geheim}{\deleted weg} {\f1 \'cf\'f0\'e8}
{\f2 \'93\'fa\'96\'7b}\par{\*\unknown nichts}{\pict 0102}{\field{\*\fldinst HYPERLINK "x"}{\fldrslt Verweis}}
{\footnote\pard \chftn die Fu\'dfnote}\par{\listtext\f3\'b7\tab}\pard\ls1\ilvl0 eins\par {\listtext 2.\tab}zwei\par
\trowd\pard\intbl a\cell b\par c\cell\row\trowd\intbl \cell d\cell\row\pard Ende\line
Zeile\bin5 {}{}{\par
{\shp{\*\shpinst weg{\shptxt Kasten\par}}}}"""


def test_rtf_paragraphs_lists_tables_and_scripts() -> None:
    record = _read(read_rtf, RTF)
    assert record.text == (
        "# Kapitel Ä\n\nGröße fett und €uro 🙀! При日本\n\nVerweis[^1]\n\n- eins\n2. zwei\n\na\tb c\n\td\n\n"
        "Ende\nZeile\n\nKasten\n\n[^1]: die Fußnote\n"
    )
    assert json.loads(record.metadata) == {"title": "Prüfbuch", "author": "Jürgen"}


@pytest.mark.parametrize("data", [RTF[:400], b"{\\rt", b"plain text", b""])
def test_rtf_that_is_cut_off_is_damaged(data: bytes) -> None:
    (record,) = read_rtf(data, RULES)
    assert isinstance(record, Refused)
    assert record.reason == "damaged"


LATEX = r"""\documentclass{article} % c
\usepackage[latin1]{inputenc}
\newcommand{\x}{y}
\title{Die \emph{gro\ss e}\\ M\"uhle}
\author{J\"{u}rgen \c{C}elik}
\begin{document}
\maketitle
% ein Kommentar
\section{Ma\ss e} \label{sec:a}
100\,\% sicher % noch einer
Fl\"u\ss igkeit, \'etage, \v{S}koda, \o{} und \"Ol.
\[ E = mc^2 \] \begin{tabular}{ll} a & b \\ \end{tabular}
\begin{itemize}
\item eins \verb|%x| \url{http://a/%20b}
\end{itemize}
\begin{verbatim}
 % kein Kommentar \"a
\end{verbatim}
\begin{comment} weg \end{comment}\input{kapitel} \\% Ende
\end{document}
danach"""


def test_latex_keeps_what_carries_meaning() -> None:
    record = _read(read_latex, LATEX.encode("latin-1"))
    assert (
        record.text
        == r"""\section{Maße}
100\,\% sicher
Flüßigkeit, étage, Škoda, ø und Öl.
\[ E = mc^2 \] \begin{tabular}{ll} a & b \\ \end{tabular}
\begin{itemize}
\item eins \verb|%x| \url{http://a/%20b}
\end{itemize}
\begin{verbatim}
 % kein Kommentar \"a
\end{verbatim}
 \\
"""
    )
    assert json.loads(record.metadata) == {"title": "Die große Mühle", "author": "Jürgen Çelik"}


def test_a_part_of_a_latex_document_is_read_whole_in_the_encoding_that_it_says() -> None:
    assert _read(read_latex, "\\section{Größe}\r\n手册\n".encode()).text == "\\section{Größe}\n手册\n"
    declared = "\\usepackage[cp1251]{inputenc}\n\\begin{document}Насос\\end{document}"
    assert _read(read_latex, declared.encode("cp1251")).text == "Насос\n"


RST = """=======
Größe
=======

.. _intro:
.. This is a comment
   over two lines

.. note:: A note
   :class: x

   Body *em* and :ref:`intro`.

.. toctree::
   :maxdepth: 2

   a

   b

.. code-block:: python
   :linenos:

   x = 1
   :not: an option

.. [1] Footnote
.. _link: http://x

..

- Text ``x`` 手册 [1]_.
"""


def test_rst_keeps_its_markup_less_what_tools_alone_read() -> None:
    record = _read(read_rst, RST.encode())
    assert (
        record.text
        == """=======
Größe
=======

.. note:: A note

   Body *em* and :ref:`intro`.

.. code-block:: python

   x = 1
   :not: an option

.. [1] Footnote
.. _link: http://x

- Text ``x`` 手册 [1]_.
"""
    )
    assert json.loads(record.metadata) == {"title": "Größe"}


@pytest.mark.parametrize(
    ("read", "unit"),
    [
        (read_latex, "\\begin{verbatim}"),
        (read_latex, "\\verb|"),
        (read_latex, "\\verb"),
        (read_latex, "\\label{"),
        (read_latex, "\\title["),
        (read_latex, "\\title{"),
        (read_latex, "%\n"),
        (read_latex, " "),
        (read_latex, "\\"),
        (read_latex, '\\"'),
        (read_rst, ".. "),
        (read_rst, ".. |a| b"),
        (read_rst, ".. a::\n :b:\n"),
        (read_rst, " "),
        (read_rst, "==\n"),
        (read_rtf, "{\\rtf{"),
        (read_rtf, "{\\rtf\\u1{\\footnote x"),
        (read_rtf, "{\\rtf\\'"),
        (read_rtf, "{\\rtf\\row\\cell"),
    ],
)
def test_hostile_markup_takes_linear_time(read: Reader, unit: str) -> None:
    started = time.process_time()
    for tail in ("", "x", "}"):
        list(read((unit * (400_000 // len(unit)) + tail).encode(), RULES))
    assert time.process_time() - started < 6


def test_real_files_of_the_standard_library_and_of_numpy_are_read() -> None:
    page = pydoc.html.page("json", pydoc.html.document(json)).encode()
    record = _read(file_type("json.html").read, page)
    assert "Serialize ``obj`` to a JSON formatted ``str``." in record.text
    assert "<td" not in record.text
    (readme,) = Path(sysconfig.get_path("purelib"), "numpy", "ma").glob("README.rst")
    record = _read(file_type(readme.name).read, readme.read_bytes())
    assert json.loads(record.metadata)["title"]
    assert len(record.text) > 0.9 * len(readme.read_text(encoding="utf-8"))
