from __future__ import annotations

import re
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.duplicates.exact_duplicates import exact_duplicates
from loresmith.data.duplicates.passages import Unit
from loresmith.data.engine.native_tables import NativeTables
from tests.data.duplicate_corpora import batches, prose

SPACE = " \t\n\r\v\f"


def tables(folder: Path, memory: int = 1 << 28) -> NativeTables:
    return NativeTables(folder / "tables", memory)


def passages_of(text: str, unit: Unit) -> list[str]:
    if unit == "document":
        found = [text]
    elif unit == "line":
        found = text.split("\n")
    else:
        found = re.split(r"\n[ \t\r\v\f]*(?:\n[ \t\r\v\f]*)+", re.sub(r"^[ \t\n\r\v\f]+|[ \t\n\r\v\f]+$", "", text))
    return [passage.strip(SPACE) for passage in found if passage.strip(SPACE)]


pieces = st.lists(
    st.sampled_from(["a", "bb", "é", "中 文", " ", "\t", "\n", "\n\n", "\r\n", "\n \n", "\u2028", "\0", "x" * 1100]),
    max_size=12,
).map("".join)


@settings(max_examples=80, deadline=None)
@given(st.lists(pieces, max_size=6), st.sampled_from(["document", "paragraph", "line"]), st.integers(1, 4))
def test_every_repetition_is_found_with_its_place(texts: list[str], unit: Unit, minimum_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        found = exact_duplicates(
            batches(texts, rows=2), Path(name), unit, tables(Path(name)), minimum_bytes
        ).to_pylist()
    first: dict[str, int] = {}
    wanted = []
    for number, text in enumerate(texts):
        for passage in passages_of(text, unit):
            if len(passage.encode()) < minimum_bytes:
                continue
            if passage in first:
                wanted.append((number, first[passage], passage))
            first.setdefault(passage, number)
    assert [(int(row["document"]), int(row["kept"])) for row in found] == [pair[:2] for pair in wanted]
    for row, (number, _, passage) in zip(found, wanted, strict=True):
        assert (row["kind"], row["similarity"]) == (unit, 1.0)
        assert texts[number][row["start"] : row["end"]].strip(SPACE) == passage
        assert unit == "document" or texts[number][row["start"] : row["end"]] == passage


def test_the_memory_makes_no_difference(tmp_path: Path) -> None:
    lines = [prose(seed, 8) for seed in range(40)]
    texts = ["".join(lines[(seed * place) % 40] for place in range(20)) for seed in range(300)]
    wanted = exact_duplicates(batches(texts), tmp_path / "plenty", "line", tables(tmp_path))
    assert wanted.num_rows == 300 * 20 - 40
    assert exact_duplicates(batches(texts), tmp_path / "little", "line", tables(tmp_path, 0)).equals(wanted)
    assert len(list((tmp_path / "little").iterdir())) == 2


def test_short_lines_are_left_alone(tmp_path: Path) -> None:
    text = "    else:\n        return None\n" + "x" * 40 + "\n"
    found = exact_duplicates(batches([text, text]), tmp_path, "line", tables(tmp_path)).to_pylist()
    assert [(row["document"], row["kept"], text[row["start"] : row["end"]]) for row in found] == [
        ("00001", "00000", "x" * 40)
    ]


def test_texts_made_to_collide_do_not(tmp_path: Path) -> None:
    """The Thue-Morse strings collide under every polynomial modulo 2**64."""
    bits = [0]
    for _ in range(11):
        bits += [1 - bit for bit in bits]
    left = "".join("ab"[bit] for bit in bits)
    right = "".join("ba"[bit] for bit in bits)
    assert exact_duplicates(batches([left, right]), tmp_path, "line", tables(tmp_path)).num_rows == 0
