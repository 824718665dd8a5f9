"""Rich Text Format (Microsoft's specification 1.9.1): paragraphs, headings, items, tables and footnotes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from loresmith.data.decoding import known_encoding
from loresmith.data.readers.blocks import Blocks
from loresmith.data.readers.record import ReadingRules, Record, metadata_json
from loresmith.data.readers.refusal import NoDocumentError, whole_document

_TOKEN = re.compile(
    r"\\(?:(?P<word>[a-zA-Z]{1,32})(?P<number>-?[0-9]{1,10})?[ ]?|'(?P<hex>[0-9a-fA-F]{2})|(?P<symbol>[^a-zA-Z]))"
    r"|(?P<brace>[{}])|[\r\n\0]+|(?P<text>[^\\{}\r\n\0]++)|\\",
    re.DOTALL,
)
_CHARSETS = {0: 1252, 77: 10000, 128: 932, 129: 949, 130: 1361, 134: 936, 136: 950, 161: 1253, 162: 1254, 163: 1258}
_CHARSETS |= {177: 1255, 178: 1256, 186: 1257, 204: 1251, 222: 874, 238: 1250, 254: 437, 255: 850}
_CODECS = {10000: "mac-roman", 65001: "utf-8", 1361: "johab"}
_CHARACTERS = {"tab": "\t", "line": "\n", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "bullet": "•"}
_CHARACTERS |= {"ldblquote": "“", "rdblquote": "”", "emspace": " ", "enspace": " ", "nestcell": " ", "nestrow": " "}
_SYMBOLS = {"~": " ", "_": "-", "\t": "\t", "\\": "\\", "{": "{", "}": "}", "\n": "\r", "\r": "\r"}
_UNSEEN_WORDS = """fonttbl colortbl stylesheet info pict header headerl headerr headerf footer footerl footerr footerf
    fldinst object ftnsep ftnsepc ftncn annotation nonshppict private xe tc rxe bkmkstart bkmkend themedata filetbl"""
_UNSEEN = set(_UNSEEN_WORDS.split())
_SHOWN_AGAIN = {"shptxt", "result"}  # what a drawing or an embedded object shows, within what is not shown
_TOLD = {"title", "author"}
_HEADING = re.compile(r"heading ([1-9]);?", re.IGNORECASE)
_BULLET = re.compile("[\\W_o\ue000-\uf8ff]")


@dataclass
class _Group:
    """What holds until the group ends."""

    unseen: bool = False
    target: str = ""  # where text goes: "" the document, or marker, footnote, title, author, fonts, styles
    codec: str = "cp1252"
    fallback: int = 1  # characters after \u that are for old programs
    hidden: bool = False
    deleted: bool = False


@whole_document
def read_rtf(data: bytes, rules: ReadingRules) -> Record:
    """One record; title and author are in its metadata. What is hidden, deleted or a comment is no text."""
    if not data.lstrip(b"\r\n \0").startswith(b"{\\rtf"):
        raise NoDocumentError("damaged", "it does not begin as RTF")
    story = _Story()
    story.read(data.decode("latin-1"))
    return Record(story.finish(), len(data), metadata=metadata_json(story.properties))


class _Story:
    def __init__(self) -> None:
        self.properties: dict[str, str] = {}
        self._blocks = Blocks()
        self._groups = [_Group()]
        self._fonts: dict[int, str] = {}
        self._font = self._default_font = self._style = 0
        self._headings: dict[int, int] = {}
        self._default = "cp1252"
        self._bytes = bytearray()
        self._texts: dict[str, list[str]] = {}
        self._skip = 0  # characters still to be left out after \u
        self._row: list[str] = []
        self._cell: list[str] = []
        self._in_table = False
        self._level: int | None = None
        self._depth = 0
        self._notes: list[str] = []
        self._star = False

    def read(self, text: str) -> None:
        position = 0
        while token := _TOKEN.match(text, position):
            position = token.end()
            kind = token.lastgroup
            if kind == "text":
                self._put_bytes(token["text"])
            elif kind == "hex":
                self._put_bytes(chr(int(token["hex"], 16)))
            elif kind == "brace":
                self._brace(token["brace"])
            elif kind == "symbol":
                self._symbol(token["symbol"])
            elif kind in ("word", "number"):
                number = int(token["number"]) if token["number"] else None
                if token["word"] == "bin":
                    position += max(number or 0, 0)
                else:
                    self._word(token["word"], number)
            if position > len(text) or (len(self._groups) == 1 and kind == "brace"):
                break
        if len(self._groups) > 1:
            raise NoDocumentError("damaged", f"it ends within {len(self._groups) - 1} groups")

    def finish(self) -> str:
        self._paragraph()
        self._end_row()
        for number, note in enumerate(self._notes, start=1):
            self._blocks.item(note, 0, f"[^{number}]:")
        return self._blocks.finish()

    def _brace(self, brace: str) -> None:
        self._flush()
        self._skip = 0
        if brace == "{":
            self._groups.append(replace(self._groups[-1]))
        elif len(self._groups) > 1:
            ended = self._groups.pop()
            if ended.target != self._groups[-1].target:
                self._end_target(ended.target)
            elif ended.target in ("fonts", "styles"):
                self._end_entry(ended.target)
        self._star = False

    def _symbol(self, symbol: str) -> None:
        if symbol == "*":
            self._star = True
        elif symbol in _SYMBOLS:
            self._put("\n" if _SYMBOLS[symbol] == "\r" else _SYMBOLS[symbol])

    def _word(self, word: str, number: int | None) -> None:
        group = self._groups[-1]
        if self._star and word not in _SHOWN_AGAIN and word not in ("listtext", "pntext"):
            group.unseen = True
        self._star = False
        if self._skip and word != "u":
            self._skip -= 1
            return
        if word == "u":
            self._put(chr((number or 0) & 0xFFFF))
            self._skip = group.fallback
        elif word == "uc":
            group.fallback = min(max(number or 0, 0), 100)
        elif word in _CHARACTERS:
            self._put(_CHARACTERS[word])
        elif word in _UNSEEN or word in _SHOWN_AGAIN:
            self._flush()
            group.unseen = word in _UNSEEN
            group.target = {"fonttbl": "fonts", "stylesheet": "styles"}.get(word, group.target)
        elif word in ("listtext", "pntext", "footnote", *_TOLD):
            self._flush()
            group.target = "marker" if word in ("listtext", "pntext") else word
            group.unseen = group.unseen and word in ("listtext", "pntext")
            if word == "footnote":
                self._texts.setdefault("", []).append(f"[^{len(self._notes) + 1}]")
        elif not self._font_word(word, number, group):
            self._paragraph_word(word, number, group)

    def _font_word(self, word: str, number: int | None, group: _Group) -> bool:
        """What decides how bytes become text."""
        if word == "f":
            self._flush()
            self._font = number or 0
            if group.target != "fonts":
                group.codec = self._fonts.get(self._font, self._default)
        elif word == "fcharset":
            if number in _CHARSETS:
                self._fonts[self._font] = _codec(_CHARSETS[number], self._default)
        elif word == "cpg" and group.target == "fonts":
            self._fonts[self._font] = _codec(number or 0, self._default)
        elif word in ("ansicpg", "mac", "pc", "pca"):
            page = {"mac": 10000, "pc": 437, "pca": 850}.get(word, number or 1252)
            self._default = group.codec = _codec(page, self._default)
        elif word == "deff":
            self._default_font = number or 0
        elif word == "plain":
            self._flush()
            group.codec = self._fonts.get(self._default_font, self._default)
            group.hidden = False
        else:
            return False
        return True

    def _paragraph_word(self, word: str, number: int | None, group: _Group) -> None:
        if word in ("par", "page", "sect"):
            self._paragraph()
        elif word == "pard":
            self._in_table, self._level, self._depth, self._style = False, None, 0, 0
        elif word == "intbl":
            self._in_table = True
        elif word == "cell":
            self._flush()
            self._cell.append(self._taken(""))
            self._row.append(" ".join(filter(None, self._cell)))
            self._cell = []
        elif word == "row":
            self._end_row()
        elif word == "outlinelevel":
            self._level = number
        elif word == "s":
            self._style = number or 0
        elif word == "ilvl":
            self._depth = number or 0
        elif word in ("v", "deleted"):
            self._flush()
            on = number != 0
            group.hidden, group.deleted = (on, group.deleted) if word == "v" else (group.hidden, on)

    def _put_bytes(self, text: str) -> None:
        if self._skip:
            left_out = min(self._skip, len(text))
            self._skip -= left_out
            text = text[left_out:]
        self._bytes += text.encode("latin-1")

    def _put(self, text: str) -> None:
        self._flush()
        group = self._groups[-1]
        if group.target in ("fonts", "styles") or not (group.unseen or group.hidden or group.deleted):
            self._texts.setdefault(group.target, []).append(text)

    def _flush(self) -> None:
        if self._bytes:
            text = bytes(self._bytes).decode(self._groups[-1].codec, errors="replace")
            self._bytes.clear()
            self._put(text)

    def _taken(self, target: str) -> str:
        """What was written to a target; halves of surrogate pairs, as \\u has them, are put together."""
        text = "".join(self._texts.pop(target, []))
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").strip(" \n")

    def _end_target(self, target: str) -> None:
        if target == "footnote":
            self._notes.append(self._taken(target))
        elif target in _TOLD:
            told = self._taken(target)
            if told:
                self.properties[target] = told

    def _end_entry(self, target: str) -> None:
        name = self._taken(target)
        heading = _HEADING.fullmatch(name)
        if target == "styles" and heading:
            self._headings[self._style] = int(heading[1]) - 1

    def _paragraph(self) -> None:
        self._flush()
        if self._groups[-1].target not in ("", "marker"):
            self._put(" ")
            return
        text, marker = self._taken(""), self._taken("marker").strip()
        if marker and _BULLET.fullmatch(marker):
            marker = "-"
        level = self._headings.get(self._style) if self._level is None else self._level
        if self._in_table:
            self._cell.append(f"{marker} {text}" if marker else text)
            return
        self._end_row()
        if level is not None and 0 <= level < 9:
            self._blocks.heading(f"{marker} {text}" if marker and marker != "-" else text, level + 1)
        elif marker:
            self._blocks.item(text, self._depth, marker)
        else:
            self._blocks.paragraph(text)

    def _end_row(self) -> None:
        if self._row:
            self._blocks.row(self._row)
        elif self._cell:
            self._blocks.paragraph("\n".join(self._cell))
        self._row, self._cell = [], []


def _codec(page: int, default: str) -> str:
    name = _CODECS.get(page, f"cp{page}")
    return name if known_encoding(name) else default
