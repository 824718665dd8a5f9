"""XML as a stream of events: no tree that could be too deep or too large, no entities, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NoReturn, Protocol
from xml.parsers import expat

from loresmith.data.readers.complaint import complaint
from loresmith.data.readers.refusal import NoDocumentError


class XmlEvents(Protocol):
    """What is told of the elements, in the document's order; names have the prefixes given to `parse_xml`."""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None: ...
    def end(self, tag: str) -> None: ...
    def text(self, text: str) -> None: ...


def parse_xml(pieces: Iterable[bytes], events: XmlEvents, prefixes: Mapping[str, str]) -> None:
    """Parse an XML document.

    Args:
        prefixes: by namespace; names of other namespaces get `?`. Names without a namespace get none.

    Raises:
        NoDocumentError: "damaged" if it is not well-formed, or declares entities (the way to make few bytes many).
    """
    names: dict[str, str] = {}

    def short(name: str) -> str:
        namespace, divided, local = name.rpartition(" ")
        names[name] = found = f"{prefixes.get(namespace, '?')}:{local}" if divided else local
        return found

    def start(tag: str, attributes: dict[str, str]) -> None:
        events.start(
            names.get(tag) or short(tag), {names.get(name) or short(name): value for name, value in attributes.items()}
        )

    def end(tag: str) -> None:
        events.end(names[tag])

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = events.text
    parser.EntityDeclHandler = _no_entities
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise NoDocumentError("damaged", f"XML: {complaint(error)}") from None
    except (LookupError, ValueError):  # of the encoding that the XML declares
        raise NoDocumentError("damaged", "XML: in no encoding that is known here") from None


def _no_entities(*declaration: object) -> NoReturn:
    raise NoDocumentError("damaged", "XML: it declares entities")
