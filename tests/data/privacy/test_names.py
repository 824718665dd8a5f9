"""Names: by title, label, given name, the operator's list and a model; not every word with a capital."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from loresmith.data.privacy.names import NameRecogniser, read_gazetteer
from loresmith.data.privacy.recognisers import Recognisers
from loresmith.data.privacy.rules import PrivacyRules
from loresmith.errors import UserError


def found(text: str, rules: PrivacyRules | None = None) -> list[str]:
    recognisers = Recognisers(rules or PrivacyRules(kinds=("name",)))
    return [text[finding.start : finding.end] for finding in recognisers.find(text)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Herr Dr. Hans Müller und Frau Kowalke", ["Hans Müller", "Kowalke"]),
        ("signed by John R. Smith and Ludwig van Beethoven", ["John R. Smith"]),
        ("Guido van Rossum, Vincent van Gogh", ["Vincent van Gogh"]),
        ("Ansprechpartner: Zbyněk Hrdlička", ["Zbyněk Hrdlička"]),
        ("Smith, John\nMüller, Anna\n", ["Smith, John", "Müller, Anna"]),
        ("Hans-Peter Krüger-Lang kam", ["Hans-Peter Krüger-Lang"]),
        ("Thanks, Anna, that helped", []),
        ("However, Thomas will see", []),
    ],
)
def test_names(text: str, names: list[str]) -> None:
    assert found(text) == names


def test_places_and_things_called_after_people_are_left_alone() -> None:
    assert found("das Robert Koch Institut, Konrad Adenauer Straße, Victoria Station, Martin Luther University") == []
    assert found("Die Obere Linke Ecke des Hauptmenüs zeigt Anna.lib, annaMaria und jAnna Xy") == []


def test_the_operators_own_list(tmp_path: Path) -> None:
    listing = tmp_path / "people.txt"
    listing.write_text("# staff\nQuendolin Abtsgmünd\n\nAbtsgmünd\nvan der Öxl\n", encoding="utf-8")
    rules = PrivacyRules(kinds=("name",), gazetteer=read_gazetteer(listing))
    text = "gefragt: Quendolin Abtsgmünd; Abtsgmünd, van der Öxl, Abtsgmündung, XAbtsgmünd, Quendolin Abtsgmündung"
    assert found(text, rules) == ["Quendolin Abtsgmünd", "Abtsgmünd", "van der Öxl"]
    assert found(text) == []


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00x"])
def test_a_list_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    listing = tmp_path / "people.txt"
    if content is not None:
        listing.write_bytes(content)
    with pytest.raises(UserError, match="gazetteer"):
        read_gazetteer(listing)


def test_a_name_that_cannot_be_looked_for_is_refused_without_being_shown() -> None:
    with pytest.raises(UserError, match="cannot be looked for") as refused:
        NameRecogniser(["q-17-secret"])
    assert "q-17" not in str(refused.value)


def test_a_name_model_comes_from_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "xnames.py").write_text(
        "def find(text):\n    at = text.find('@anon')\n    return [(at, at + 5, 0.8)] if at >= 0 else []\n"
    )
    metadata = tmp_path / "xnames-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: xnames\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[loresmith.names]\nxnames = xnames:find\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert found("seen by @anon", PrivacyRules(kinds=("name",), name_model="xnames")) == ["@anon"]
    with pytest.raises(UserError, match="did you mean 'xnames'"):
        Recognisers(PrivacyRules(name_model="xname"))
