"""Numbers that their issuers publish as examples are found; with one character changed, a checked one is not."""

from __future__ import annotations

import pytest

from loresmith.data.privacy.recognisers import Recognisers
from loresmith.data.privacy.rules import PrivacyRules

ANY = Recognisers(PrivacyRules(minimum_confidence=0.0))
USUAL = Recognisers(PrivacyRules())

CHECKED = {
    # SWIFT's IBAN registry
    "DE89 3704 0044 0532 0130 00": "iban",
    "GB29NWBK60161331926819": "iban",
    "FR1420041010050500013M02606": "iban",
    "NO93 8601 1117 947": "iban",
    "MT84MALT011000012345MTLCAST001S": "iban",
    # test numbers of the card networks
    "4111 1111 1111 1111": "card",
    "5555-5555-5555-4444": "card",
    "378282246310005": "card",
    "6011111111111117": "card",
    "3530111333300000": "card",
    # what the issuing offices print in their explanations
    "86 095 742 719": "national_id",  # de, Steuer-ID
    "65 170839 J 003": "national_id",  # de, Deutsche Rentenversicherung
    "A123456780": "national_id",  # de, GKV-Spitzenverband
    "2 55 08 14 168 025 38": "national_id",  # fr, INSEE
    "12345678Z": "national_id",  # es
    "X1234567L": "national_id",  # es
    "RSSMRA85T10A562S": "national_id",  # it, Agenzia delle Entrate
    "943 476 5919": "national_id",  # gb, NHS
    "111222333": "national_id",  # nl
    "85.07.30-033.28": "national_id",  # be
    "44051401359": "national_id",  # pl
    "811228-9874": "national_id",  # se, Skatteverket
    "756.9217.0769.85": "national_id",  # ch
    "1237 010180": "national_id",  # at
    "131052-308T": "national_id",  # fi
    "2341 2341 2346": "national_id",  # in, UIDAI
    "529.982.247-25": "national_id",  # br
    "1234567FA": "national_id",  # ie
}
UNCHECKED = {"536-90-4399": "national_id", "AB 12 34 56 C": "national_id", "900-70-0000": "national_id"}


@pytest.mark.parametrize("number", [*CHECKED, *UNCHECKED])
def test_an_issuers_example_is_found_whole(number: str) -> None:
    for text in (number, f"({number}), copy", f"siehe {number}."):
        found = [text[finding.start : finding.end] for finding in ANY.find(text)]
        assert number in found, text


@pytest.mark.parametrize("number", CHECKED)
def test_a_wrong_digit_is_noticed(number: str) -> None:
    kind = CHECKED[number]
    rule = next(finding.rule for finding in ANY.find(number))
    place = max(place for place, character in enumerate(number) if character.isdigit())
    noticed = 0
    for digit in set("0123456789") - {number[place]}:
        changed = number[:place] + digit + number[place + 1 :]
        assert not any(
            finding.kind == kind and finding.rule == rule and finding.end - finding.start == len(number)
            for finding in ANY.find(changed)
        ), changed
        noticed += 1
    assert noticed == 9


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Meine Steuer-ID ist 86095742719.", "86095742719"),
        ("BSN: 111222333", "111222333"),
        ("patient, NHS number 9434765919", "9434765919"),
        ("SSN 536904399", "536904399"),
        ("NIF: 123456789", "123456789"),
        ("Aadhaar 234123412346", "234123412346"),
        ("CPR 010180-1234", "010180-1234"),
    ],
)
def test_a_word_before_it_settles_a_number_that_others_look_like(text: str, value: str) -> None:
    assert [text[found.start : found.end] for found in USUAL.find(text)] == [value]
    bare = text.replace(":", "").rpartition(" ")[0].split()[0][:0] + f"Pos. {value} ab Lager"
    alone = [found.confidence for found in ANY.find(bare) if found.kind == "national_id"]
    assert max(alone) < max(found.confidence for found in USUAL.find(text))


@pytest.mark.parametrize(
    ("text", "value", "country"),
    [
        ("+49 (0)30 1234567", "+49 (0)30 1234567", "de"),
        ("0049 30 1234567", "0049 30 1234567", "de"),
        ("Tel. 030 / 123 45 67", "030 / 123 45 67", "de"),
        ("0171 1234567", "0171 1234567", "de"),
        ("01 23 45 67 89", "01 23 45 67 89", "fr"),
        ("(212) 736-5000", "(212) 736-5000", "us"),
        ("+44 20 7946 0958", "+44 20 7946 0958", "gb"),
        ("+81 3 1234 5678", "+81 3 1234 5678", "+"),
        ("call +1 212 736 5000 2 times", "+1 212 736 5000", "us"),
    ],
)
def test_telephone_numbers_end_where_their_plan_says(text: str, value: str, country: str) -> None:
    (found,) = USUAL.find(text)
    assert (text[found.start : found.end], found.rule) == (value, f"phone/{country}")


@pytest.mark.parametrize("around", ["x{}", "{}x", "3.{}", "{}.5", "{}-7", "7-{}", "0x{}", "_{}"])
def test_a_part_of_something_longer_is_no_number(around: str) -> None:
    for number in ("4111111111111111", "12345678Z", "529.982.247-25"):
        text = around.replace("{}", number)
        assert not [found for found in ANY.find(text) if text[found.start : found.end] == number], text


def test_a_date_is_no_telephone_number() -> None:
    assert USUAL.find("called 2003-04-24, phone 24.04.2003, Tel 2003/04/24") == []
    assert [found.kind for found in USUAL.find("Tél. 01.02.03.04.05")] == ["phone"]


def test_numbers_for_fiction_and_documentation_are_nobodys() -> None:
    text = "Tel. (212) 555-0123, 192.0.2.17, 2001:db8::1, 255.255.255.0, ada@example.invalid, ff:ff:ff:ff:ff:ff"
    assert ANY.find(text) == []


def test_four_numbers_are_an_address_only_where_something_says_so() -> None:
    assert USUAL.find("version 1.2.3.4, see section 10.1.2.3 of release 12.0.1.255") == []
    assert USUAL.find("the parts 1.2.3.4 and 5.6.7.8") == []
    assert USUAL.find("firmware version 93.184.216.34, build 93.184.216.35") == []
    assert [found.kind for found in USUAL.find("at 93.184.216.34 now")] == ["ip"]
    assert [found.kind for found in USUAL.find("ping 8.8.8.8, route 9.9.9.0/24")] == ["ip", "ip"]
    loopback, private, public = (ANY.find(f"server {address}")[0] for address in ("127.0.0.1", "10.0.0.7", "8.8.8.8"))
    assert loopback.confidence < private.confidence < public.confidence
