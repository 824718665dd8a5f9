"""Addresses of machines: IPv4, IPv6 and MAC."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

from loresmith.data.privacy.findings import Finding
from loresmith.data.privacy.seen_text import SeenText

_V4_MIDDLE = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")
_V4_BEFORE = re.compile(r"[0-9]{1,3}$")
_V4 = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9])(?!\.[0-9])(?!\w)")
_V4_BEGINS = re.compile(r"(?<![\w.])(?<![A-Za-z]-)")
_AFTER_V4 = re.compile(r"/(?:[89]|[12][0-9]|3[0-2])(?![0-9.])|:[0-9]{2,5}(?![0-9])")
_V4_CUES = re.compile(
    rb"\bips?\b|\bipv4|ip-?addr|address|adresse|direcci|indirizzo|\bhost|server|gateway|router|\bdns\b|subnet|netz|subred|r.seau"
    rb"|ping |ssh |\bnet\b|://|listen|\bbind|peer|client|remote|nameserver|proxy|logged in|login|\bfrom |\bvon |@"
    rb"|\bdepuis |\bdesde "
)
_VERSION_CUES = re.compile(
    rb"version|\bver\b|\bv\.?\s?$|release|revision|\brev\b|build|firmware|driver|treiber|update|patch|upgrade|section|abschnitt|chapter"
    rb"|kapitel|\bfig|abb\.|table|tabelle|clause|\boid\b|asn|schema|==|>=|<=|~="
)
_CUE_REACH = 32

_V6_MIDDLE = re.compile(r":[0-9A-Fa-f]{0,4}:")
_V6_BEFORE = re.compile(r"[0-9A-Fa-f:]{0,40}$")
_V6 = re.compile(
    r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3})?(?![\w:])(?!\.[0-9])"
)
_DOCUMENTATION_V6 = (IPv6Network("2001:db8::/32"), IPv6Network("3fff::/20"))
_IN_USE_V6 = (IPv6Network("2000::/3"), IPv6Network("fc00::/7"), IPv6Network("fe80::/10"))

_MAC_MIDDLES = (
    (2, re.compile(r":[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}:")),
    (2, re.compile(r"-[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-")),
    (4, re.compile(r"\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}")),
)
_MAC = re.compile(
    r"(?<![\w:.\-])(?:[0-9A-Fa-f]{2}(?P<separator>[:\-])[0-9A-Fa-f]{2}(?:(?P=separator)[0-9A-Fa-f]{2}){4}"
    r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})(?![\w]|[:\-][0-9A-Fa-f]{2}|\.[0-9A-Fa-f])"
)
_MAC_CUES = re.compile(rb"\bmac\b|ethernet|\bether\b|hardware|hwaddr|physi|bssid|wlan|wi-?fi|bluetooth|lladdr")


class IpRecogniser:
    """Finds IPv4 and IPv6 addresses.

    Four numbers with dots are more often a version or a section than an address, so they need a word, a port or a
    prefix length beside them, or numbers as versions hardly have. Addresses that are nobody's are not found: masks,
    multicast, reserved, unspecified, and those kept for documentation (RFC 5737, RFC 3849).
    """

    kinds = ("ip",)
    longest = 45

    def find(self, seen: SeenText) -> Iterator[Finding]:
        yield from self._find_v4(seen)
        yield from self._find_v6(seen)

    def _find_v4(self, seen: SeenText) -> Iterator[Finding]:
        text = seen.text
        for middle in _V4_MIDDLE.finditer(text):
            first = _V4_BEFORE.search(text, max(0, middle.start() - 3), middle.start())
            found = _V4.match(text, first.start()) if first else None
            if found is None or _V4_BEGINS.match(text, found.start()) is None:
                continue
            start, end = found.span()
            try:
                address = IPv4Address(found[0])
            except AddressValueError:
                continue
            if _is_nobodys(address):
                continue
            before = seen.before(start, _CUE_REACH)
            told = bool(_V4_CUES.search(before)) or _AFTER_V4.match(text, end) is not None
            if _VERSION_CUES.search(before[-20:]):
                confidence = 0.1
            elif address.is_loopback or address.packed[0] == 0:
                confidence = 0.2
            elif address.is_private:
                confidence = 0.6 if told else 0.5 if address.packed[:2] == b"\xc0\xa8" else 0.4
            else:
                confidence = 0.95 if told else 0.6 if _is_unlike_a_version(address) else 0.3
            yield Finding(start, end, "ip", confidence, "ip/v4")

    def _find_v6(self, seen: SeenText) -> Iterator[Finding]:
        text, done = seen.text, 0
        for middle in _V6_MIDDLE.finditer(text):
            if middle.start() < done:
                continue
            before = _V6_BEFORE.search(text, max(0, middle.start() - 40), middle.start())
            found = _V6.match(text, before.start()) if before else None
            if found is None:
                continue
            done = found.end()
            end = found.end() - (found[0].endswith(":") and not found[0].endswith("::"))
            try:
                address = IPv6Address(text[found.start() : end])
            except AddressValueError:
                continue
            if any(address in network for network in _DOCUMENTATION_V6):
                continue
            if not any(address in network for network in _IN_USE_V6):
                confidence = 0.2
            else:
                confidence = 0.6 if address.is_private else 0.95
            yield Finding(found.start(), end, "ip", confidence, "ip/v6")


class MacRecogniser:
    """Finds MAC addresses: six pairs with `:` or `-`, or three fours with dots. Those of a group are nobody's."""

    kinds = ("mac",)
    longest = 17

    def find(self, seen: SeenText) -> Iterator[Finding]:
        for before, middles in _MAC_MIDDLES:
            done = 0
            for middle in middles.finditer(seen.text):
                start = middle.start() - before
                found = _MAC.match(seen.text, start) if start >= done else None
                if found:
                    done = found.end()
                    yield from self._weigh(seen, start, done)

    @staticmethod
    def _weigh(seen: SeenText, start: int, end: int) -> Iterator[Finding]:
        written = seen.text[start:end]
        digits = re.sub(r"[:.\-]", "", written)
        if int(digits[:2], 16) & 1 or len(set(digits)) == 1:
            return
        told = _MAC_CUES.search(seen.before(start, _CUE_REACH)) is not None
        doubtful = digits.isdigit() or "." in written
        yield Finding(start, end, "mac", 0.95 if told else 0.4 if doubtful else 0.8, "mac")


def _is_nobodys(address: IPv4Address) -> bool:
    first, second, third, _ = address.packed
    documentation = (first, second, third) in ((192, 0, 2), (198, 51, 100), (203, 0, 113))
    return first >= 224 or documentation or address.packed == bytes(4)


def _is_unlike_a_version(address: IPv4Address) -> bool:
    return sum(number >= 32 for number in address.packed) >= 2 and max(address.packed) >= 100
