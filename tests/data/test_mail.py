"""Mail is what a person wrote, when, to whom and in answer to what; attachments are files."""

from __future__ import annotations

import json
import time
from email.message import EmailMessage
from typing import Any

import pytest

from loresmith.data.readers.compressed_rtf import unpack_rtf
from loresmith.data.readers.mail import read_eml
from loresmith.data.readers.mbox import read_mbox
from loresmith.data.readers.outlook_message import read_msg
from loresmith.data.readers.record import Member, ReadingRules, Record, Refused
from tests.data.mail_files import compound_file, mail, outlook_message

RULES = ReadingRules()


def one(data: bytes, rules: ReadingRules = RULES) -> tuple[Record, dict[str, Any], dict[str, bytes]]:
    """The record of a mail, its metadata, and what is attached."""
    record, *attached = read_eml(data, rules)
    assert isinstance(record, Record)
    return record, json.loads(record.metadata), {part.name: part.data for part in attached if isinstance(part, Member)}


def refusal(data: bytes) -> str:
    (found,) = read_eml(data, RULES)
    assert isinstance(found, Refused)
    assert found.bytes == len(data)
    return found.reason


def test_a_mail_is_a_head_that_one_can_read_and_its_text() -> None:
    data = mail("Pümpe №7", "Hello Bob,\n\nit leaks – badly.\n").as_bytes()
    record, metadata, attached = one(data)
    assert record.text == (
        "From: Ada Löw <ada@example.org>\nTo: bob@example.org\nDate: Mon, 02 Nov 2026 10:00:00 +0100\n"
        "Subject: Pümpe №7\n\nHello Bob,\n\nit leaks – badly.\n"
    )
    assert (record.bytes, record.start) == (len(data), 0)
    assert metadata["date"] == "2026-11-02T09:00:00Z"
    assert not attached


def test_mails_of_one_thread_have_it_in_common() -> None:
    first = one(mail(Message_ID="<1@x>").as_bytes())[1]
    second = one(mail(Message_ID="<2@x>", In_Reply_To="<1@x>").as_bytes())[1]
    third = one(mail(Message_ID="<3@x>", In_Reply_To="<2@x>", References="<1@x> <2@x>").as_bytes())[1]
    assert first["thread"] == second["thread"] == third["thread"] == "<1@x>"
    assert third["references"] == ["<1@x>", "<2@x>"]
    assert third["in_reply_to"] == "<2@x>"


QUOTED = """Yes.

On Mon, 2 Nov 2026 at 10:00, Bob wrote:
> Is it the pump?
>> Or the valve?

Both.
--
not a signature, it has no space but is near the end

Am 2. November 2026 schrieb Carl
<carl@example.org>:
> older

-- \nAda Löw
Pumps & Co.
"""


def test_quotations_and_signatures_are_marked_and_stay_in_the_text() -> None:
    record, metadata, _ = one(mail(text=QUOTED).as_bytes())
    quoted = [record.text[start:end] for start, end in metadata["quoted"]]
    assert quoted[0] == "On Mon, 2 Nov 2026 at 10:00, Bob wrote:\n> Is it the pump?\n>> Or the valve?\n"
    assert quoted[1].endswith("> older\n")
    assert record.text[slice(*metadata["signature"])] == "-- \nAda Löw\nPumps & Co.\n"
    assert "Is it the pump?" in record.text


def test_what_outlook_puts_below_a_reply_is_a_quotation() -> None:
    text = "Done.\n\nVon: Bob\nGesendet: Montag\nAn: Ada\nBetreff: Pumpe\n\nWas ist damit?\n"
    record, metadata, _ = one(mail(text=text).as_bytes())
    ((start, end),) = metadata["quoted"]
    assert record.text[start:end].startswith("Von: Bob")
    assert end == len(record.text)


@pytest.mark.parametrize(
    "header",
    [
        "From: Bob\nSent: Monday\nTo: Ada\n",
        "\nVon: Bob\nGesendet: Montag\nAn: Ada\n",
        "De\u00a0: Bob\nEnvoyé\u00a0: lundi\nÀ\u00a0: Ada\n",
    ],
)
def test_underscores_divide_a_quotation_off_where_its_header_follows(header: str) -> None:
    line = "_" * 40 + "\n"
    plan = f"Hello all,\n\n{line}\nMonday: check the seal.\nTuesday: change the oil.\n\n"
    record, metadata, _ = one(mail(text=plan).as_bytes())
    assert metadata.get("quoted", []) == []
    record, metadata, _ = one(mail(text=f"{plan}{line}{header}\nIs it the pump?\n").as_bytes())
    ((start, end),) = metadata["quoted"]
    assert record.text[start:end].startswith(f"{line}{header}")
    assert record.text[:start].endswith("change the oil.\n\n")


def test_plain_text_is_preferred_and_html_is_read_where_there_is_no_other() -> None:
    both = mail(text="plain\n")
    both.add_alternative("<p>marked <b>up</b></p>", subtype="html")
    both.add_attachment(b"a,b\n", maintype="text", subtype="csv", filename="tä ble.csv")
    record, metadata, attached = one(both.as_bytes())
    assert record.text.endswith("\n\nplain\n")
    assert "marked" not in record.text
    assert attached == {"tä ble.csv": b"a,b\n"}
    assert metadata["attachments"] == ["tä ble.csv"]
    only = EmailMessage()
    only["Subject"] = "x"
    only.set_content("<p>marked <b>up</b></p>", subtype="html")
    assert one(only.as_bytes())[0].text.endswith("\n\nmarked up\n")


def test_a_forwarded_mail_is_a_file_with_the_bytes_it_had() -> None:
    inner = b"From: Carl <c@x>\nSubject: deep\nX-Odd:   spaces\n\nold text\n"
    data = (
        b"From: a@x\nContent-Type: multipart/mixed; boundary=b\n\n"
        b"--b\n\nsee below\n--b\nContent-Type: message/rfc822\n\n" + inner + b"\n--b--\n"
    )
    _, _, attached = one(data)
    assert attached == {"attachment-1.eml": inner}


PLAIN = b"Content-Type: text/plain; charset=%s\n"
ENCODED = b"Content-Transfer-Encoding: %s\n"
MIXED = b"Content-Type: multipart/mixed; boundary=zz\n\n"
BROKEN = {
    "an unknown character set": PLAIN % b"no-such" + b"\ncaf\xc3\xa9",
    "latin called ascii": PLAIN % b"us-ascii" + b"\ncaf\xe9",
    "no character set": b"\ncaf\xc3\xa9",
    "base64 with rubbish": ENCODED % b"base64" + PLAIN % b"utf-8" + b"\nY2Fm!!w6k",
    "quoted-printable": ENCODED % b"quoted-printable" + PLAIN % b"latin1" + b"\ncaf=E9=",
    "an unknown transfer encoding": ENCODED % b"y-enc" + PLAIN % b"utf-8" + b"\ncaf\xc3\xa9",
    "a boundary that never comes": MIXED + b"caf\xc3\xa9",
    "no last boundary": MIXED + b"--zz\n\ncaf\xc3\xa9",
    "no boundary named": b"Content-Type: multipart/mixed\n\ncaf\xc3\xa9",
    "uuencode": ENCODED % b"x-uuencode" + PLAIN % b"utf-8" + b"\nbegin 644 x\n%8V%FPZD \n \nend\n",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_text_is_found_in_mails_that_keep_no_rules(kind: str) -> None:
    record, _, _ = one(b"From: a@x\nSubject: s\n" + BROKEN[kind])
    assert record.text.rstrip().endswith("café"), record.text


def test_headers_are_decoded_however_they_are_encoded() -> None:
    data = b"From: =?utf-8?q?L=C3=B6w?= <a@x>\nSubject: =?iso-8859-1?B?YvZz?=\n =?utf-8?q?_raw?= \xc3\xa9 =?x?=\n\nt\n"
    record, _, _ = one(data)
    assert record.text.startswith("From: Löw <a@x>\nSubject: bös raw é =?x?=\n")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (
            "Content-Type: multipart/encrypted; protocol=application/pgp-encrypted; boundary=x",
            "--x\n\nVersion: 1\n--x--",
        ),
        ("Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", "MIIB"),
        ("Content-Type: text/plain", "-----BEGIN PGP MESSAGE-----\n\nhQEM\n-----END PGP MESSAGE-----"),
    ],
)
def test_what_only_the_receiver_can_read_is_called_encrypted(headers: str, body: str) -> None:
    assert refusal(f"From: a@x\n{headers}\n\n{body}\n".encode()) == "encrypted"


def test_a_signed_mail_is_read_and_said_to_be_signed() -> None:
    data = (
        b"From: a@x\nContent-Type: multipart/signed; boundary=s\n\n--s\n\nsigned text\n--s\n"
        b"Content-Type: application/pgp-signature; name=signature.asc\n\n-----BEGIN PGP SIGNATURE-----\n--s--\n"
    )
    record, metadata, attached = one(data)
    assert record.text.endswith("\n\nsigned text\n")
    assert metadata["signed"] is True
    assert not attached


def test_what_is_no_mail_is_refused() -> None:
    assert refusal(b"just a text\nof two lines\n") == "damaged"


def box(*mails: bytes) -> bytes:
    return b"".join(b"From ada@x Mon Nov  2 10:00:00 2026\n" + one.rstrip(b"\n") + b"\n\n" for one in mails)


def test_each_mail_of_a_box_has_its_own_bytes() -> None:
    with_file = mail("second")
    with_file.add_attachment(b"data", maintype="application", subtype="x", filename="f.bin")
    data = box(mail("first").as_bytes(), with_file.as_bytes(), mail("third").as_bytes())
    found = list(read_mbox(data, RULES))
    records = [part for part in found if isinstance(part, Record)]
    assert [record.anchor for record in records] == ["#message-1", "#message-2", "#message-3"]
    assert sum(record.bytes for record in records) == len(data)
    for record, subject in zip(records, (b"first", b"second", b"third"), strict=True):
        piece = data[record.start : record.start + record.bytes]
        assert piece.startswith(b"From ada@x")
        assert b"Subject: " + subject in piece
    assert [part.name for part in found if isinstance(part, Member)] == ["message-2/f.bin"]


def test_lines_that_begin_with_from_are_text() -> None:
    body = (
        "Dear Bob,\n\nFrom the start: it leaks.\n\nFrom Mon 10:00 on it was worse\nthan before.\n\n"
        ">From quoted\n>>From twice\nFrom here\n"
    )
    data = box(b"From: a@x\nSubject: 1\n\n" + body.encode(), b"From: a@x\nSubject: 2\n\nx\n")
    first, second = read_mbox(data, RULES)
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert "\n\nFrom Mon 10:00 on it was worse\nthan before.\n\nFrom quoted\n>From twice\nFrom here\n" in first.text


def test_what_stands_before_the_first_mail_is_refused_and_counted() -> None:
    data = b"junk\n\n" + box(mail().as_bytes())
    junk, record = read_mbox(data, RULES)
    assert isinstance(junk, Refused)
    assert junk.bytes + record.bytes == len(data)  # type: ignore[union-attr]


def test_a_mail_of_outlook_says_the_same() -> None:
    texts = {
        0x001A: "IPM.Note",
        0x0037: "Pümpe",
        0x0C1A: "Ada Löw",
        0x5D01: "ada@example.org",
        0x0E04: "Bob; Carl",
        0x1000: "It leaks.\r\n\r\n> old\r\n",
        0x1035: "<2@x>",
        0x1042: "<1@x>",
    }
    inner = outlook_message({0x001A: "IPM.Note", 0x0037: "inner", 0x1000: "inside"})
    data = compound_file(outlook_message(texts, attached={"t.csv": b"a,b\n" * 1100}, inner=inner))
    record, attached, second = read_msg(data, RULES)
    assert isinstance(record, Record)
    assert record.text == (
        "From: Ada Löw <ada@example.org>\nTo: Bob; Carl\nDate: 2026-11-02T09:00:00Z\nSubject: Pümpe\n\n"
        "It leaks.\n\n> old\n"
    )
    metadata = json.loads(record.metadata)
    assert metadata["thread"] == "<1@x>"
    assert [record.text[start:end] for start, end in metadata["quoted"]] == ["> old\n"]
    assert attached == Member("t.csv", b"a,b\n" * 1100)
    assert isinstance(second, Record)
    assert second.anchor == "#message-1"
    assert "inside" in second.text
    assert record.bytes + second.bytes == len(data)


def test_outlooks_html_is_read_and_its_rtf_is_a_file() -> None:
    page = compound_file(outlook_message({0x0037: "s"}, {0x1013: b"<p>caf\xe9</p>".ljust(4200)}))
    (record,) = read_msg(page, RULES)
    assert isinstance(record, Record)
    assert record.text.endswith("\n\ncafé\n")
    packed = b"\0" * 8 + b"MELA" + b"\0" * 4 + rb"{\rtf1 x}".ljust(4200)
    packed = len(packed).to_bytes(4, "little") + (4200).to_bytes(4, "little") + packed[8:]
    _, member = read_msg(compound_file(outlook_message({0x0037: "s"}, {0x1009: packed})), RULES)
    assert isinstance(member, Member)
    assert (member.name, member.data.rstrip()) == ("body.rtf", rb"{\rtf1 x}")


def test_encrypted_and_broken_mails_of_outlook_are_refused() -> None:
    (found,) = read_msg(compound_file(outlook_message({0x001A: "IPM.Note.SMIME", 0x0037: "s"})), RULES)
    assert isinstance(found, Refused)
    assert found.reason == "encrypted"
    whole = compound_file(outlook_message({0x0037: "s", 0x1000: "x" * 5000}))
    for end in (100, 600, len(whole) // 2):
        (found,) = read_msg(whole[:end], RULES)
        assert isinstance(found, Refused)
        assert found.reason == "damaged"


def test_rtf_is_unpacked_as_the_specification_shows() -> None:
    packed = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    )
    assert unpack_rtf(packed) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"


@pytest.mark.parametrize(
    "unit",
    [
        "--x\n",
        "--x\n\n--x--\n",
        "A: b\n",
        "=?",
        "> ",
        "On a wrote:\n",
        "-----",
        "\n-- \n",
        ";a=b",
        "From: x\nSent: y\n",
    ],
)
def test_hostile_mail_takes_linear_time(unit: str) -> None:
    body = unit.encode() * (250_000 // len(unit))
    started = time.process_time()
    for head in (
        b"",
        b"Content-Type: multipart/mixed; boundary=x\n\n",
        b"\n",
        b"Content-Type: text/html; ",
        b"Subject: ",
    ):
        assert list(read_eml(b"From: a\n" + head + body, RULES))
    list(read_mbox(box(body), RULES))
    assert time.process_time() - started < 8


def test_parameters_without_end_take_no_time() -> None:
    started = time.process_time()
    for name in (b"Content-Type: text/html", b"Content-Disposition: attachment", b"Content-Type: multipart/mixed"):
        assert list(read_eml(b"From: a\n" + name + b';a="' * 200_000 + b"\n\nx\n", RULES))
    assert time.process_time() - started < 2


def test_mails_within_mails_end_at_some_depth() -> None:
    data = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000))
    started = time.process_time()
    assert list(read_eml(b"From: a\n" + data, RULES))
    assert time.process_time() - started < 5
