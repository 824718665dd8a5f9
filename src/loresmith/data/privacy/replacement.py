"""What stands in a text instead of a finding: the name of its kind, or an alias that is the same for the same value.

An alias comes from HMAC-SHA-256 (RFC 2104) of the kind and the normalised value, so that whoever lacks the key can
neither undo it nor try values. It looks like what it stands for and belongs to nobody: the domain `.invalid`
(RFC 2606), the numbers 555-01xx, 240.0.0.0/4 and 2001:db8::/32 (RFC 1112, RFC 3849), a group's MAC address, and IBANs
and cards whose check digits are wrong. Recognisers do not find aliases again.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from loresmith.data.privacy.checksums import luhn
from loresmith.data.privacy.findings import Finding
from loresmith.data.privacy.packs import PACKS
from loresmith.data.privacy.seen_text import SeenText

Action = Literal["mask", "pseudonymise"]

_TITLES = re.compile(r"^(?:(?:Herrn?|Frau|Mrs?|Ms|Miss|Dr|Prof|Mme|Sir)\.? )+")
_NOT_ALPHANUMERIC = re.compile(r"[^0-9A-Za-z]")
_NOT_DIGIT = re.compile(r"[^0-9]")


def replacement(finding: Finding, text: str, action: Action, key: bytes) -> str:
    """What to write instead of a finding.

    Args:
        finding: of `text`.
        text: the text that it was found in.
        action: "mask" for the name of the kind in brackets, "pseudonymise" for an alias.
        key: of the aliases; one key gives one alias, and nobody can tell which aliases of two keys belong together.

    Raises:
        ValueError: pseudonyms without a key.
    """
    if action == "mask":
        return f"[{finding.kind.upper()}]"
    if not key:
        raise ValueError("pseudonyms need a key")
    value = normalised(finding, text)
    drawn = hmac.new(key, f"{finding.kind}\0{value}".encode(), sha256).digest()
    return _alias(finding.kind, value, drawn)


def normalised(finding: Finding, text: str) -> str:
    """The finding's value as all of its spellings have it: without case, separators, and what a country adds."""
    value = SeenText(text[finding.start : finding.end]).text
    if finding.kind == "phone":
        return _international(value, finding.rule.rpartition("/")[2])
    if finding.kind in ("iban", "card", "national_id"):
        return _NOT_ALPHANUMERIC.sub("", value).upper()
    if finding.kind == "mac":
        return _NOT_ALPHANUMERIC.sub("", value).lower()
    if finding.kind == "ip":
        return str(ip_address(value))
    if finding.kind == "email":
        return value.casefold()
    if finding.kind == "name":
        return _plain_name(value)
    return value


def _international(value: str, country: str) -> str:
    """The digits of a telephone number, the country's code first."""
    digits = _NOT_DIGIT.sub("", value.replace("(0)", ""))
    if value.startswith("+"):
        return digits
    if digits.startswith("00"):
        return digits[2:]
    plan = PACKS[country].phone
    if plan.code == "1":
        return digits.rjust(11, "1")
    return plan.code + digits.removeprefix(plan.trunk)


def _plain_name(value: str) -> str:
    name = _TITLES.sub("", " ".join(unicodedata.normalize("NFC", value).split()))
    surname, comma, given = name.partition(", ")
    return (f"{given} {surname}" if comma else name).casefold()


def _alias(kind: str, value: str, drawn: bytes) -> str:
    number = int.from_bytes(drawn, "big")
    if kind == "email":
        return f"user-{drawn.hex()[:8]}@example.invalid"
    if kind == "phone":
        return f"+1-{2 + number % 8}{2 + number // 8 % 8}{number // 64 % 10}-555-01{number // 640 % 100:02d}"
    if kind == "iban":
        return f"{value[:2]}00{number % 10 ** (len(value) - 4):0{len(value) - 4}d}"
    if kind == "card":
        digits = f"0000{number % 10**12:012d}"
        digits = digits[:-1] + str((int(digits[-1]) + luhn(digits)) % 10)
        return " ".join(digits[place : place + 4] for place in range(0, 16, 4))
    if kind == "ip":
        if ":" in value:
            return str(IPv6Address((0x20010DB8 << 96) | number % 2**96))
        return str(IPv4Address((0xF << 28) | number % (2**28 - 1)))
    if kind == "mac":
        return ":".join(f"{byte:02x}" for byte in (3, *drawn[:5]))
    return f"{'person' if kind == 'name' else kind.replace('_', '-')}-{drawn.hex()[:8]}"
