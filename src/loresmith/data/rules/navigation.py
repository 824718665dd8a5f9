"""What a web page says about itself: menus, links to the top, cookie banners, buttons to share.

Only whole lines go, and only of web pages: a sentence about cookies is no banner, and `Next` in a manual on paper is a
heading. A line is a menu if at least two thirds of its items, three or more, divided by `|`, `»`, `·` or `›`, are words
of menus. A line with one such word is one if the line with ink before or after it is, too: `Register` may be a chapter.

| score | what it is |
| --- | --- |
| `navigation_characters` | characters that are cut, of all of the text's |
| `navigation_lines` | lines that are cut, a count |

The flag `cookie banner` says that one is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from loresmith.data.edited_text import Edit
from loresmith.data.rules.finding import Finding, Pages

WEB_PAGES = frozenset({"text/html", "application/xhtml+xml"})

_MENU_WORDS = """
    home|contact|contact us|about|about us|login|log in|logout|sign in|sign up|register|search|quick search|menu|sitemap
    |site map|imprint|privacy|privacy policy|terms of use|terms of service|help|faq|index|modules|module index|next|prev
    |previous|previous topic|next topic|previous page|next page|up|top|contents|table of contents|navigation|show source
    |this page|report a bug|edit this page|edit on github|view source|view page source|subscribe|newsletter|downloads
    |startseite|kontakt|impressum|datenschutz|datenschutzerklärung|agb|suche|anmelden|abmelden|registrieren|menü|weiter
    |zurück|nächste seite|vorherige seite|inhalt|inhaltsverzeichnis|über uns|hilfe
    |accueil|connexion|rechercher|mentions légales|plan du site|suivant|précédent|à propos|aide
    |inicio|contacto|buscar|aviso legal|política de privacidad|siguiente|anterior|acerca de|ayuda
    |contatti|cerca|accedi|successivo|precedente|chi siamo|aiuto|zoeken|inloggen|volgende|vorige|over ons
"""
_ALONE = """
    skip to (?:main )?content|skip to navigation|jump to (?:navigation|search|content)|toggle navigation|back to top
    |to the top|go to top|return to top|zum inhalt springen|zum seitenanfang|nach oben|aller au contenu|haut de page
    |saltar al contenido|volver arriba|vai al contenuto|torna su|naar inhoud|naar boven
    |share this.{0,20}|share on (?:facebook|twitter|x|linkedin|reddit).{0,20}|tweet this|follow us on .{0,40}
    |print this page|© all rights reserved\\.?|copyright .{0,60}all rights reserved\\.?|powered by \\w+(?: \\w+)?
    |created using sphinx.{0,20}|last updated on .{0,40}|enable javascript .{0,60}|please enable javascript.{0,60}
"""
_BANNER = """
    (?:this|our|the) (?:web ?site|site|page) uses cookies|we use (?:our own and third.party )?cookies
    |(?:accept|reject|allow|manage|decline) (?:all )?cookies|cookie (?:settings|preferences|consent|notice)\\b
    |by (?:continuing|using) .{0,60}(?:use of cookies|cookie policy)
    |(?:diese|unsere) (?:web)?seite (?:verwendet|nutzt|benutzt) cookies|wir (?:verwenden|nutzen|setzen) cookies
    |(?:alle )?cookies (?:akzeptieren|ablehnen|zulassen)|cookie-einstellungen
    |(?:ce|notre) site (?:web )?utilise des cookies|nous utilisons des cookies
    |(?:accepter|refuser) (?:tous )?les cookies
    |(?:este|nuestro) sitio (?:web )?(?:utiliza|usa) cookies|utilizamos cookies
    |(?:aceptar|rechazar) (?:todas )?las cookies
    |(?:questo|il nostro) sito (?:web )?(?:utilizza|usa) (?:i )?cookie|utilizziamo (?:i )?cookie
    |accetta (?:tutti )?i cookie
    |(?:deze|onze) (?:web)?site (?:gebruikt|maakt gebruik van) cookies
    |wij gebruiken cookies|(?:alle )?cookies accepteren
"""


def _joined(alternatives: str) -> str:
    return re.sub(r"\s*\n\s*", "", alternatives.strip())


_MENU = frozenset(_joined(_MENU_WORDS).split("|"))
_DIVIDED = re.compile(r"[|»·›•\t]| {3,}")
_DIVIDER = re.compile(r"[|»·›•\t]")
_FIRST_WORDS = frozenset(
    alternative.split(" ", 1)[0] for alternative in _joined(_ALONE).split("|") if " " in alternative
)
_WHOLE = re.compile(_joined(_ALONE), re.IGNORECASE)
_COOKIES = re.compile(_joined(_BANNER), re.IGNORECASE)
_DECORATION = "[](){}<>«»‹›←→↑↓¶#*-–— \t|·:"
_LONGEST = 400
_FEW_ITEMS = 3


class Navigation:
    """Cuts the navigation lines and cookie banners of web pages."""

    name = "navigation"

    def look(self, text: str, language: str, media_type: str, pages: Pages) -> Finding:
        if media_type not in WEB_PAGES:
            return Finding()
        edits: list[Edit] = []
        cookies = "cookie" in text.lower()
        before: tuple[int, int, str] = (0, 0, "")
        for start, end in _lines(text):
            line = text[start:end].strip()
            if not line:
                continue
            kind = _kind(line, cookies) if len(line) <= _LONGEST else ""
            if kind and before[2] == "item":
                edits.append(Edit(before[0], before[1], "", f"{self.name}/menu"))
            alone = kind == "item" and not before[2]
            if kind and not alone:
                edits.append(Edit(start, end, "", f"{self.name}/{_KINDS[kind]}"))
            before = (start, end, kind if alone or not kind else "menu")
        flags = ("cookie banner",) if any(edit.rule.endswith("banner") for edit in edits) else ()
        characters = sum(edit.end - edit.start for edit in edits)
        scores = {"navigation_characters": characters / max(1, len(text)), "navigation_lines": float(len(edits))}
        return Finding(scores, flags, tuple(edits))


_KINDS = {"item": "menu", "menu": "menu", "banner": "cookie_banner"}


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield start, end
        start = end


def _is_banner(line: str) -> bool:
    found = _COOKIES.search(line)
    return found is not None and (len(line) <= 80 or found.start() <= 40)


def _kind(line: str, cookies: bool) -> str:
    """What a line is: `banner`, `menu`, an `item` that may be one of a menu, or nothing of that."""
    if cookies and "cookie" in line.lower() and _is_banner(line):
        return "banner"
    folded = line.lower().strip(_DECORATION)
    if folded in _MENU:
        return "" if line.startswith("#") else "item"
    if folded.split(" ", 1)[0] in _FIRST_WORDS and len(folded) <= 120 and _WHOLE.fullmatch(folded):
        return "menu"
    if not _DIVIDER.search(folded) and "   " not in folded:
        return ""
    items = [item for part in _DIVIDED.split(folded) if (item := part.strip(_DECORATION))]
    return "menu" if len(items) >= _FEW_ITEMS and 3 * sum(item in _MENU for item in items) >= 2 * len(items) else ""
