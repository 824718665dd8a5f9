"""Scanned pages and pictures of text, read by networks that the operator supplies."""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
from collections import deque
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.readers.pdf import read_pdf
from loresmith.data.readers.record import ReadingRules, Record
from loresmith.data.reading.limits import Limits
from loresmith.data.reading.memory import digest_of_way
from loresmith.data.reading.pool import ReadingPool
from loresmith.data.recognition import models as recognition_models
from loresmith.data.recognition.detection import Box, _regions
from loresmith.data.recognition.models import find_models
from loresmith.data.recognition.reading_order import reading_order
from loresmith.data.steps import INGEST, INGEST_DATASET, INGEST_GIT, IngestConfig
from loresmith.errors import UserError
from tests.data.pdf_files import Page, pdf
from tests.data.tables import ingest, rows, write_files

CARRIED = importlib.util.find_spec("rapidocr")
with_networks = pytest.mark.skipif(
    CARRIED is None or importlib.util.find_spec("onnxruntime") is None,
    reason="needs onnxruntime and the networks of rapidocr: `make test` installs both",
)
LINES = ["The screw conveyor moves material", "to the furnace, where it is dried.", "Check valve 7 before each shift."]


def networks() -> str:
    """The folder of networks that a package carries, as an operator would have one."""
    assert CARRIED is not None
    assert CARRIED.origin is not None
    return str(Path(CARRIED.origin).parent / "models")


def scan(lines: Sequence[str], *, turned: int = 0, tilted: float = 0.0) -> PIL.Image.Image:
    """A page as a scanner gives it."""
    page = PIL.Image.new("L", (900, 120 + 60 * len(lines)), 250)
    drawing = PIL.ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        drawing.text((90, 60 + 60 * number), line, 20, font=PIL.ImageFont.load_default(34))
    return page.rotate(tilted, fillcolor=250).rotate(turned, expand=True)


def file_of(pages: Sequence[PIL.Image.Image], form: str) -> bytes:
    written = io.BytesIO()
    pages[0].save(written, form, save_all=len(pages) > 1, append_images=pages[1:])
    return written.getvalue()


def kept_and_refused(folder: Path, output: Path, **config: Any) -> tuple[list[dict[str, Any]], dict[str, str]]:
    made = ingest(folder, output, **config).outputs["documents"].directory
    books = rows(made, "books.parquet")
    return rows(made), {row["path"]: row["reason"] for row in books if row["disposition"] == "quarantined"}


@with_networks
def test_scans_become_text_with_their_pages_and_say_by_what(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "in",
        {
            "manual.pdf": file_of([scan(LINES * 2), scan(["Second page of the manual", *LINES], tilted=3.0)], "PDF"),
            "label.png": file_of([scan(LINES[:1])], "PNG"),
            "fax.tiff": file_of([scan(LINES[1:2]), scan(LINES[2:])], "TIFF"),
            "photo.png": file_of([PIL.Image.linear_gradient("L")], "PNG"),
            "upside-down.pdf": file_of([scan(LINES, turned=180)], "PDF"),
            "upside-down.png": file_of([scan(LINES, turned=180)], "PNG"),
        },
    )
    documents, refused = kept_and_refused(folder, tmp_path, ocr_models=networks())
    found = {row["path"]: row for row in documents}
    assert {path: row["text"] for path, row in found.items()} == {
        "manual.pdf": "\n".join([*LINES, *LINES, "", "Second page of the manual", *LINES, ""]),
        "label.png": LINES[0] + "\n",
        "fax.tiff": LINES[1] + "\n\n" + LINES[2] + "\n",
        "photo.png": "",
    }
    assert refused == {"upside-down.pdf": "poorly recognised", "upside-down.png": "poorly recognised"}
    places = [(place["number"], place["start"]) for place in found["manual.pdf"]["pages"]]
    assert places == [(1, 0), (2, len("\n".join(LINES * 2)) + 2)]
    said = json.loads(found["manual.pdf"]["metadata"])["ocr"]
    assert said["pages"] == [1, 2]
    assert 0.9 < said["confidence"] <= 1
    assert said["engine"].startswith("onnxruntime ")
    assert {len(said["detection"]), len(said["recognition"])} == {64}
    assert "ocr" not in json.loads(found["photo.png"]["metadata"])


@with_networks
def test_a_page_that_is_text_already_is_not_recognised() -> None:
    rules = ReadingRules(ocr=find_models(networks()))
    (record,) = read_pdf(pdf([Page(LINES), Page(LINES), Page(scan=True)]), rules)
    assert isinstance(record, Record)
    metadata = json.loads(record.metadata)
    assert "ocr" not in metadata
    assert metadata["left_out"] == {"scanned": [3]}
    assert metadata["compared"] == 2


@with_networks
def test_a_page_that_needs_too_much_memory_is_refused_for_that(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "a.png").write_bytes(file_of([scan(LINES * 10).resize((1600, 2240))], "PNG"))
    with ReadingPool(
        1, ReadingRules(ocr=find_models(networks())), Limits(memory_bytes=350 << 20), tmp_path / "spool"
    ) as pool:
        found = pool.result(pool.submit(tmp_path / "a.png", "a.png", 1))
    assert [getattr(record, "reason", "") for record in found.records()] == ["needed too much memory"]
    assert not found.lasting


@with_networks
def test_other_networks_are_another_input_and_another_place_is_not(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "in", {"a.txt": "text"})
    same, other = tmp_path / "same", tmp_path / "other"
    for copy in (same, other):
        shutil.copytree(networks(), copy)
    for file in other.glob("*rec*.onnx"):
        with file.open("ab") as more:
            more.write(b"\x80\x7d\x01")  # a field that no reader of ONNX knows, and so leaves alone

    def of(models: str | None) -> tuple[str, str]:
        config = IngestConfig(path=str(folder), ocr_models=models)
        assert INGEST.fingerprint is not None
        return INGEST.fingerprint(config), digest_of_way(config.rules())

    here = of(networks())
    assert of(str(same)) == here
    for unlike in (of(str(other)), of(None)):
        assert unlike[0] != here[0]
        assert unlike[1] != here[1]


@with_networks
@pytest.mark.parametrize("step", [INGEST, INGEST_GIT, INGEST_DATASET])
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no file *det*.onnx"),
        ({"det.onnx": "a", "b-det.onnx": "b"}, "2 files *det*.onnx"),
        ({"det.onnx": "this is none", "rec.onnx": "nor this"}, "nothing that onnxruntime loads"),
    ],
)
def test_networks_that_are_none_are_found_out_before_a_file_is_read(
    tmp_path: Path, step: Any, files: dict[str, str], said: str
) -> None:
    models = write_files(tmp_path, {f"models/{name}": content for name, content in files.items()}) / "models"
    config = step.config(path=str(tmp_path / "there is none"), ocr_models=str(models))
    with pytest.raises(UserError, match="ocr_models: ") as raised:
        step.fingerprint(config)
    assert said in str(raised.value)


def test_without_the_library_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(recognition_models, "version", missing)
    with pytest.raises(UserError, match="needs onnxruntime") as raised:
        find_models(str(tmp_path))
    assert "loresmith[ocr]" in str(raised.value)


@with_networks
def test_a_network_without_its_characters_is_refused(tmp_path: Path) -> None:
    (carried,) = Path(networks()).glob("*det*.onnx")
    shutil.copy(carried, tmp_path / "det.onnx")
    shutil.copy(carried, tmp_path / "rec.onnx")
    with pytest.raises(UserError, match="which characters"):
        find_models(str(tmp_path))


bitmaps = st.integers(1, 12).flatmap(
    lambda width: st.lists(st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=12)
)


@settings(max_examples=60, deadline=None)
@given(bitmaps)
def test_regions_are_those_that_flooding_finds(bitmap: list[list[bool]]) -> None:
    inside = np.array(bitmap)
    found = _regions(inside.astype(np.float32))
    assert sorted((r.left, r.right, r.top, r.bottom, r.pixels, r.x, r.y, r.xx, r.xy) for r in found) == _flooded(inside)
    assert all(region.likely == pytest.approx(region.pixels) for region in found)


def _flooded(inside: np.ndarray[Any, Any]) -> list[tuple[float, ...]]:
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(inside), strict=True)}
    regions = []
    while left:
        waiting = deque([left.pop()])
        own = []
        while waiting:
            y, x = waiting.popleft()
            own.append((y, x))
            for near in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if near in left:
                    left.remove(near)
                    waiting.append(near)
        ys, xs = [y for y, _ in own], [x for _, x in own]
        sums = (sum(xs), sum(ys), sum(x * x for x in xs), sum(x * y for y, x in own))
        regions.append((min(xs), max(xs) + 1, min(ys), max(ys) + 1, len(own), *map(float, sums)))
    return sorted(regions)


def test_columns_are_read_one_after_the_other_and_tables_across() -> None:
    title = Box(0, 0, 1000, 40)
    columns = [Box(x, y, x + 450, y + 30) for x in (0, 550) for y in range(100, 500, 50)]
    assert [box for block in reading_order([title, *columns][::-1]) for row in block for box in row] == [
        title,
        *columns,
    ]
    cells = [Box(x, y, x + 100, y + 30) for y in range(0, 400, 40) for x in (0, 300, 600, 900)]
    (block,) = reading_order(cells[::-1])
    assert block == [cells[at : at + 4] for at in range(0, len(cells), 4)]


@given(st.lists(st.tuples(*[st.integers(0, 500)] * 2, *[st.integers(1, 200)] * 2), max_size=30))
def test_every_box_is_read_once(boxes: list[tuple[int, int, int, int]]) -> None:
    given_ = [Box(x, y, x + width, y + height) for x, y, width, height in boxes]
    read = [box for block in reading_order(given_) for row in block for box in row]
    assert sorted(map(repr, read)) == sorted(map(repr, given_))
