"""Writes the folder of a service department into FOLDER: manuals, mails, tables and what else lies around.

    python examples/manuals/make_manuals.py FOLDER

The pumps, people and numbers are made up; everything is written with the standard library, in the formats that such a
folder has, and with its faults: copies, a scan, a file nobody has the password of, text in wrong encodings, a broken
download, menus and imprints, personal data. `python/` holds real files, the documentation of installed packages.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import tarfile
import wave
import zlib
from collections.abc import Iterator
from pathlib import Path

import machine_texts as texts
import texts_in_other_languages as others
from manual_chapters import COMPRESSOR, PUMP, Chapter
from office_files import docx, epub, odt, pptx, rtf, xlsx, zipped
from pages_of_others import installed_documentation
from pdf_files import manual_pages, pdf, scanned_page
from service_records import faults_csv, report_with_attachment, thread_mbox, tickets_jsonl, work_orders

WRITTEN_AT = 1_772_442_000
"""2026-03-02: the files' time, since it goes into the documents."""
REAL_BYTES = 3 << 20

REFUSED = {
    "manuals/np-350-locked.pdf": "encrypted",
    "manuals/delivery-note.pdf": "scanned",
    "manuals/nk-40.docx": "damaged",
    "manuals/empty.txt": "empty",
    "archive/firmware.bin": "binary",
    "archive/2025.zip!/old.tar.gz!#2": "path escapes",
}
"""What cannot be read, and why not."""
RIGHTS, NOT_FOR_TRAINING = "staff/.rights.yaml", "staff/appraisals.md"
IN_FRENCH = "guides/pompes.txt"
COPIED = "guides/lubrication.md"
NEAR_COPIES = ("archive/2025.zip!/guides/lubrication.md", "guides/lubrication-revision-b.md")
"""The copy that comes first stays."""


def generated() -> Iterator[tuple[str, bytes]]:
    """The paths and contents of all files that are made up."""
    yield from _manuals()
    yield from _guides()
    yield from _web_pages()
    yield from _records()
    yield from _archive()
    yield NOT_FOR_TRAINING, b"# Appraisals\n\nThe fitters of the second shift have reached all of their targets.\n"
    yield RIGHTS, b"owner: personnel\nlabels: [restricted]\nuses: [retrieve]\n"


def _manuals() -> Iterator[tuple[str, bytes]]:
    pump = manual_pages(PUMP, "NP 200")
    yield "manuals/np-200.pdf", pdf(pump, "Pump NP 200")
    two_columns = manual_pages(COMPRESSOR, "NK 90", columns=2)
    yield "manuals/nk-90-columns.pdf", pdf(two_columns, "Compressor NK 90")
    yield "manuals/np-350-locked.pdf", pdf(pump[:2], "Pump NP 350", password="nobody knows")
    yield "manuals/delivery-note.pdf", pdf([scanned_page()], "Scan")
    parts = (
        ("Part", "Number", "Interval in hours"),
        ("Oil filter", "NK-4711", "4000"),
        ("Separator cartridge", "NK-4720", "8000"),
        ("Air filter", "NK-4701", "2000"),
    )
    header = "Nordhaven Pumps and Compressors · confidential"
    word = docx(COMPRESSOR, parts, header, "Compressor NK 90: service")
    yield "manuals/nk-90-service.docx", word
    yield "manuals/nk-40.docx", word[: len(word) // 2]
    yield "manuals/nd-12.odt", odt(others.DOSIERPUMPE, "Dosierpumpe ND 12")
    footer = "Nordhaven · Stand März 2026"
    yield "manuals/sicherheit.rtf", rtf("Sicherheit an Verdichtern", (others.HINWEIS, *others.SICHERHEIT), footer)
    yield "manuals/empty.txt", b""


def _guides() -> Iterator[tuple[str, bytes]]:
    yield "guides/vibration.pptx", pptx(texts.TRAINING, "Vibration")
    spare: list[tuple[str | int | float, ...]] = [("Number", "Part", "Fits", "On stock", "Price in euros")] + [
        (f"NP-{1000 + 13 * at}", part, fits, (at * 7) % 23, 18.5 + at * 12.25)
        for at, (part, fits) in enumerate(
            (part, fits)
            for fits in ("NP 200", "NP 350")
            for part in (
                "Impeller",
                "Wear ring",
                "Mechanical seal",
                "Bearing, drive end",
                "Coupling insert",
                "Shaft key",
            )
        )
    ]
    intervals: list[tuple[str | int, ...]] = [
        ("Machine", "Task", "Hours"),
        ("NP 200", "Grease the bearings", 4000),
        ("NK 90", "Change the oil", 4000),
    ]
    yield "guides/spare-parts.xlsx", xlsx({"Spare parts": spare, "Intervals": intervals}, "Spare parts")
    yield "guides/hydraulics.epub", epub(texts.HYDRAULICS, "Hydraulics for fitters", "Nordhaven training")
    yield COPIED, texts.LUBRICATION.encode()
    revised = texts.LUBRICATION
    for old, new in texts.REVISED:
        revised = revised.replace(old, new)
    yield "guides/lubrication-revision-b.md", revised.encode()
    yield "guides/controller.rst", texts.CONTROLLER.encode()
    formula = r"\mathrm{NPSH}_A = \frac{p_0 - p_v}{\varrho g} - h_s - h_f"
    latex = "\\documentclass{article}\n\\usepackage{amsmath}\n\\title{Suction head}\n\\author{Nordhaven training}\n"
    latex += f"\\begin{{document}}\n\\maketitle\n\\section{{What the plant offers}}\n% check with sales\n{texts.NPSH}\n"
    latex += f"\\begin{{equation}}\n{formula}\\label{{eq:npsh}}\n\\end{{equation}}\n"
    latex += "With water at 20\\,\\textdegree C a suction lift of 7\\,m is about the \\emph{most} that can be had.\n"
    yield "guides/suction-head.tex", f"{latex}\\end{{document}}\n".encode()
    shifts = "\n\n".join(others.SCHICHTBUCH)
    yield "guides/schichtbuch-latin1.txt", shifts.encode("cp1252")
    twice = "\n\n".join((*others.AUSHANG, others.HINWEIS)).encode().decode("cp1252")
    yield "guides/sicherheit-aushang.txt", twice.encode()
    yield IN_FRENCH, "\n\n".join(others.FRANCAIS).encode()


def _web_pages() -> Iterator[tuple[str, bytes]]:
    menu = "".join(
        f"<li><a href='#'>{word}</a></li>" for word in ("Home", "Downloads", "About us", "Contact", "Search")
    )
    banner = "<div><p>This website uses cookies.</p><button>Accept all cookies</button></div>"
    imprint = "".join(f"<p>{line}</p>" for line in texts.IMPRINT)
    for number, (title, text) in enumerate(texts.BULLETINS, start=1):
        head = f"<html lang='en'><head><title>{title}</title><script>track()</script></head>"
        body = f"<body>{banner}<nav><ul>{menu}</ul></nav><h1>{title}</h1><p>{text}</p><footer>{imprint}</footer></body>"
        yield f"web/bulletin-{number}.html", f"<!DOCTYPE html>{head}{body}</html>".encode()


def _records() -> Iterator[tuple[str, bytes]]:
    yield "records/faults.csv", faults_csv()
    yield "records/tickets.jsonl", tickets_jsonl(seed=1)
    yield "records/work-orders.sqlite", work_orders(seed=2)
    readings = manual_pages([Chapter("Readings of line 2", (others.SCHICHTBUCH[0], texts.NPSH))], "Line 2")
    yield "mail/measurement.eml", report_with_attachment(("report.pdf", pdf(readings, "Readings")))
    yield "mail/desk.mbox", thread_mbox()


def _archive() -> Iterator[tuple[str, bytes]]:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as old:
        for name, text in (("ND-12/wartung.txt", " ".join(others.DOSIERPUMPE[1].steps)), ("../escape.txt", "out")):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(text.encode()), WRITTEN_AT
            old.addfile(member, io.BytesIO(text.encode()))
    yield (
        "archive/2025.zip",
        zipped(
            {
                "guides/lubrication.md": texts.LUBRICATION,
                "old.tar.gz": gzip.compress(held.getvalue(), mtime=0),
            }
        ),
    )
    yield "archive/firmware.bin", bytes(range(256)) * 16
    yield "archive/plate.png", _png()
    yield "archive/bearing.wav", _wav()


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    rows = b"".join(b"\0" + bytes((x * y) % 256 for x in range(32)) for y in range(16))
    head = (32).to_bytes(4, "big") + (16).to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _wav() -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"".join((at * 97 % 4000).to_bytes(2, "little") for at in range(4000)))
    return held.getvalue()


def write(folder: Path, real_bytes: int = REAL_BYTES) -> int:
    """Write all files. How many they are."""
    count = 0
    real = ((f"python/{name}", data) for name, data in installed_documentation(real_bytes))
    for files in (generated(), real):
        for name, data in files:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.utime(path, (WRITTEN_AT, WRITTEN_AT))
            count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--real-bytes", type=int, default=REAL_BYTES, help="of the documentation of installed packages")
    arguments = parser.parse_args()
    count = write(arguments.folder, arguments.real_bytes)
    print(f"{count} files in {arguments.folder}")


if __name__ == "__main__":
    main()
