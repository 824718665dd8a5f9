"""Languages are told paragraph by paragraph; what is no prose has none."""

from __future__ import annotations

import subprocess
import sys
from pydoc_data.topics import topics

import pytest

from loresmith.data.rules.language import Language, language_spans

PROSE = {
    "en": "Close the inlet valve before you open the housing, and wait until the pressure has fallen to zero.",
    "de": "Schließen Sie das Einlassventil, bevor Sie das Gehäuse öffnen, und warten Sie, bis der Druck gefallen ist.",
    "fr": "Fermez la vanne d'admission avant d'ouvrir le boîtier, et attendez que la pression soit tombée à zéro.",
    "es": "Cierre la válvula de entrada antes de abrir la carcasa y espere hasta que la presión haya bajado a cero.",
    "it": "Chiudere la valvola di ingresso prima di aprire la custodia e attendere che la pressione sia scesa a zero.",
    "nl": "Sluit de inlaatklep voordat u de behuizing opent en wacht totdat de druk tot nul is gedaald.",
    "pl": "Zamknij zawór wlotowy przed otwarciem obudowy i poczekaj, aż ciśnienie spadnie do zera.",
    "ru": "Закройте впускной клапан, прежде чем открывать корпус, и подождите, пока давление упадёт.",
    "zh": "打开外壳之前请关闭进水阀，并等待压力降至零。检查密封件是否干燥，然后按照编号顺序拆下螺钉。",
    "ja": "ハウジングを開ける前に入口バルブを閉め、圧力がゼロになるまで待ってください。シールも確認します。",
    "el": "Κλείστε τη βαλβίδα εισόδου πριν ανοίξετε το περίβλημα και περιμένετε μέχρι η πίεση να πέσει στο μηδέν.",
}


@pytest.mark.parametrize("language", PROSE)
def test_a_page_of_prose_is_in_its_language(language: str) -> None:
    finding = Language().look("\n\n".join([PROSE[language]] * 4), "", "text/plain", ())
    assert finding.flags == (f"language:{language}",)
    assert finding.scores["language_share"] == finding.scores[f"language_share_{language}"] == 1
    assert finding.scores["language_confidence"] > 0.4


def test_shares_are_of_bytes_and_a_second_language_is_told() -> None:
    german, russian = PROSE["de"] * 4, PROSE["ru"] * 2
    finding = Language().look(f"{german}\n\n{russian}", "", "text/plain", ())
    sizes = {"de": len(german.encode()), "ru": len(russian.encode())}
    share = sizes["de"] / sum(sizes.values())
    assert finding.flags == ("language:de", "mixed languages")
    assert finding.scores["language_share_de"] == pytest.approx(share)
    assert finding.scores["language_share_ru"] == pytest.approx(1 - share)
    spans = list(language_spans(f"{german}\n\n{russian}"))
    assert [(span.start, span.end, span.language) for span in spans] == [
        (0, len(german), "de"),
        (len(german) + 2, len(german) + 2 + len(russian), "ru"),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "OK", "x = 3", "4711  0815  42\n" * 40, "int main(void) { return f(a[3], &b->c); }\n" * 9, "%d %s 0x1f"],
)
def test_what_is_no_prose_has_no_language(text: str) -> None:
    finding = Language().look(text, "", "text/plain", ())
    assert finding.scores == {"known_language_bytes": 0.0}
    assert finding.flags == ()


def test_source_code_is_left_alone() -> None:
    assert Language().look(PROSE["en"] * 5, "python", "text/x-python", ()).scores == {}


def test_pages_of_a_reference_manual_are_english_and_not_mixed() -> None:
    pages = [page for page in topics.values() if len(page) > 1500]
    flags = [Language().look(page, "", "text/plain", ()).flags for page in pages]
    assert flags == [("language:en",)] * len(pages)


def test_the_tables_are_loaded_only_when_a_language_is_asked_for() -> None:
    code = (
        "import sys; from loresmith.data.rules.rulebook import RULES; assert not {'eldc', 'ftfy'} & set(sys.modules);"
        "RULES['language'].look('Close the inlet valve before you open the housing.', '', '', ());"
        "assert 'eldc' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
