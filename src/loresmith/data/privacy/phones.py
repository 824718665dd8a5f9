"""Telephone numbers: after a `+` by the countries' plans, without one by how they are written or a word before them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from loresmith.data.privacy.findings import Finding
from loresmith.data.privacy.packs.pack import PhonePlan
from loresmith.data.privacy.seen_text import SeenText

LONGEST = 40

_CODES = re.compile(
    r"1|7|20|27|21[12368]|2[2-46][0-9]|25[0-8]|29[0179]|3[0-469]|35[0-9]|37[0-8]|38[0-35-79]|4[013-9]|42[013]|5[1-8]|50[0-9]"
    r"|59[0-9]|6[0-6]|67[02-9]|68[0-35-9]|69[0-2]|8[1246]|85[02356]|88[06]|9[0-58]|96[0-8]|97[0-7]|99[2-68]"
)
"""The calling codes that ITU-T E.164 assigns to countries."""

_BODY = re.compile(r"[0-9](?:(?: ?\(0\) ?|[ .\-/()]{0,3})[0-9]){5,17}")
_GROUP = re.compile(r"[0-9]+")
_DIGITS = re.compile(r"[^0-9]")
_BEGINS = re.compile(r"(?<![\w+])(?<![0-9\]][.,:\-/ ])")
_BEGINS_AFTER_CUE = re.compile(r"(?<![\w+])(?<![0-9\]][.,:\-/])")
_ENDS = re.compile(r"(?!\w)(?![.,:\-/][0-9\[])(?!@)")
_CUES = re.compile(
    rb"\btel|telef|t.l.phone|phone|\bfon\b|mobil|m.vil|handy|\bcell|\bfax|\bcall|\bring\b|anruf|rufnummer|durchwahl|hotline"
    rb"|whatsapp|signal\b|appele|llama|chiama|\bgsm\b|contact number|\bsms\b|\bbel\b|telemovel|telem.vel|puhelin"
    rb"|\bt:|\bm:|tfno|\btlf"
)
_IN_CUES = re.compile(rb"[g-z]")  # every cue has one of them, a hexadecimal dump none
_CUE_REACH = 32
_DATE = re.compile(
    r"(?:(?:19|20)[0-9]{2}([-./ ])[01]?[0-9]\1[0-3]?[0-9]|[0-3]?[0-9]([-./])[01]?[0-9]\2(?:19|20)?[0-9]{2})"
    r"(?![.\-/]?[0-9])"
)
_FICTION = re.compile(r"1[2-9][0-9]{2}55501[0-9]{2}")


class PhoneRecogniser:
    """Finds telephone numbers. Those that the North American plan keeps for fiction (555-01xx) are nobody's.

    The rule of a finding ends with the country of the plan it keeps, or with `+` where only the length was checked.
    """

    kinds = ("phone",)
    longest = LONGEST

    def __init__(self, plans: Mapping[str, PhonePlan]) -> None:
        self._by_code = {plan.code: (country, re.compile(plan.national)) for country, plan in plans.items()}
        self._plans = {
            country: (plan, re.compile(plan.national), [(re.compile(form), sure) for form, sure in plan.written])
            for country, plan in plans.items()
        }
        self._any_written = re.compile("|".join(form for plan in plans.values() for form, _ in plan.written) or "(?!)")

    def find(self, seen: SeenText) -> Iterator[Finding]:
        text = seen.text
        for run, end in seen.digits.runs:
            start = run
            while start >= 0:
                found = self._at(seen, start, start == run)
                if found:
                    yield found
                start = self._next(text, found.end if found else start + 1, end, found is not None)

    def _at(self, seen: SeenText, start: int, first: bool) -> Finding | None:
        """The number that begins with this digit, or with what stands before it."""
        text = seen.text
        before = text[max(0, start - 3) : start]
        found = None
        if before.endswith(("+", "+ ")):
            found = self._international(text, start - (2 if before[-1] == " " else 1), start)
        elif text.startswith("00", start):
            found = self._international(text, start, start + 2)
        return found or self._national(seen, start - before.endswith("("), first)

    @staticmethod
    def _next(text: str, start: int, end: int, after_number: bool) -> int:
        """The next place of a run where a number may begin: at a bracket, or after another number; -1 for none."""
        if after_number:
            group = _GROUP.search(text, start, end)
            return group.start() if group else -1
        bracket = text.find("(", start, end)
        return bracket + 1 if bracket >= 0 else -1

    def _international(self, text: str, begin: int, digits: int) -> Finding | None:
        body = _BODY.match(text, digits, digits + LONGEST - 3)
        if body is None or text[digits] == "0" or _BEGINS.match(text, begin) is None:
            return None
        for end in _ends(text, digits, body.end()):
            compact = _DIGITS.sub("", text[digits:end].replace("(0)", ""))
            code = _CODES.match(compact)
            if code is None or not 8 <= len(compact) <= 15 or _FICTION.fullmatch(compact):
                continue
            country, national = self._by_code.get(code[0], ("+", None))
            if national is None and len(compact) < 10:
                continue
            if national is None or national.fullmatch(compact[code.end() :]):
                sure = 0.9 if text[begin] == "+" else 0.6
                return Finding(begin, end, "phone", sure if national else sure - 0.2, f"phone/{country}")
        return None

    def _national(self, seen: SeenText, start: int, first: bool) -> Finding | None:
        text = seen.text
        if _BEGINS_AFTER_CUE.match(text, start) is None or _DATE.match(text, start):
            return None
        words = seen.before(start, _CUE_REACH) if first else b""
        told = _IN_CUES.search(words) is not None and _CUES.search(words) is not None
        if not told and self._any_written.match(text, start) is None:
            return None
        best: Finding | None = None
        body = _BODY.match(text, start + (text[start] == "("), start + LONGEST) if told else None
        for country, (plan, national, written) in self._plans.items():
            if not text.startswith(plan.trunk, start + (text[start] == "(")):
                continue
            candidates = [(found.end(), sure) for form, sure in written if (found := form.match(text, start))]
            if body:
                candidates += [(end, 0.9) for end in _ends(text, start, body.end())]
            for end, sure in candidates:
                compact = _DIGITS.sub("", text[start:end])
                if not national.fullmatch(compact[len(plan.trunk) :]) or _ENDS.match(text, end) is None:
                    continue
                if plan.code == "1" and _FICTION.fullmatch(compact.rjust(11, "1")):
                    continue
                if not told and _BEGINS.match(text, start) is None:
                    sure -= 0.25
                if best is None or (end, sure) > (best.end, best.confidence):
                    best = Finding(start, end, "phone", 0.9 if told else sure, f"phone/{country}")
        return best


def _ends(text: str, start: int, end: int) -> list[int]:
    """Where a number that starts here may end: after each group of digits, the last first."""
    ends = [group.end() for group in _GROUP.finditer(text, start, end) if group.end() <= end]
    return [place for place in reversed(ends) if _ENDS.match(text, place)]
