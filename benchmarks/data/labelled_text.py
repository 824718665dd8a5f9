"""Sentences with labelled personal data and secrets in five languages, and passages that only look as if they had some.

Deterministic: the same seed gives the same set. See benchmarks/data/privacy.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.data import labelled_values as values
from benchmarks.data.hard_forms import HARD_FORMS
from benchmarks.data.hard_negatives import NEGATIVES
from benchmarks.data.labelled_ids import NATIONAL_IDS, drawn


@dataclass(frozen=True)
class Sample:
    """A passage.

    Attributes:
        text: the passage.
        kind: of what is in it; of a negative what it is instead, such as `isbn`.
        spans: start and end of what should be found; empty for a negative.
        told: whether the passage says what it is (`IBAN: ...`), or for a name how it stands there.
    """

    text: str
    kind: str
    spans: tuple[tuple[int, int], ...]
    told: bool


Maker = Callable[[random.Random], str]

TOLD = {
    "email": (
        "Bitte schreiben Sie an {} und nennen Sie das Aktenzeichen.",
        "For questions, e-mail {} before Friday.",
        "Écrivez à {}, nous répondrons sous 48 heures.",
        "Envíe la solicitud a {} antes del lunes.",
        "From: Service <{}>\nSubject: Ersatzteile",
    ),
    "phone": (
        "Sie erreichen die Werkstatt unter Tel. {} bis 17 Uhr.",
        "Rückfragen bitte an Telefon: {}, Durchwahl folgt.",
        "Call {} and ask for the service desk.",
        "Phone {} (office hours only).",
        "Téléphone : {} (heures de bureau).",
        "Llámenos al teléfono {} para concertar una cita.",
        "Cellulare: {} oppure in ufficio.",
    ),
    "iban": (
        "Bitte überweisen Sie den Betrag auf IBAN {} bei der Hausbank.",
        "Please transfer the amount to IBAN {} within 14 days.",
        "Virement sur le compte IBAN {}, merci.",
    ),
    "card": (
        "Die Kreditkarte {} wurde belastet.",
        "Charged to card {} on delivery.",
        "Payé par carte {} le jour même.",
        "Pago con tarjeta {} aceptado.",
    ),
    "ip": (
        "Der Server ist unter der IP {} erreichbar.",
        "Connection from {} closed by remote host.",
        "ping {} antwortet nicht mehr.",
        "L'adresse IP {} a été bloquée.",
        "sshd[811]: Failed login from {} port 22",
    ),
    "mac": (
        "Die MAC-Adresse {} steht auf dem Typenschild.",
        "link/ether {} brd ff:ff:ff:ff:ff:ff",
        "Adresse MAC : {} (interface 2)",
    ),
    "secret": (
        "export API_TOKEN={}\n",
        "Der Schlüssel lautet {} und gilt bis Jahresende.",
        'client = Client(api_key="{}")',
        "Authorization: Bearer {}\n",
    ),
    "name": (
        "Herr {} hat die Anlage am Montag abgenommen.",
        "Bitte wenden Sie sich an Frau {} im Einkauf.",
        "The report was signed by Mr {} in person.",
        "Ansprechpartner: {}",
        "Author: {}\nDate: May",
        "Madame {} a validé la commande.",
        "El Sr. {} firmó el contrato.",
        "Dr. {} reviewed the drawings.",
    ),
}
"""Passages that say what stands in them."""

BARE = {
    "email": ("siehe {} .", "cc {}; done", "{}", "(vgl. {})"),
    "phone": ("Werkstatt Nord, {}, Mo bis Fr", "{}", "Lager 3 | {} | Halle B", "see you at noon - {} - bye"),
    "iban": ("{}", "Hausbank {} / Rechnung 17", "paid from {} yesterday"),
    "card": ("{}", "booking 17, {}, 12/27", "belastet: {}"),
    "ip": ("{}", "eth0 up, {} assigned", "{} - - [12/Mar/2021:06:25:24] GET /"),
    "mac": ("{}", "port 7: {} learned on VLAN 12", "Gerät {} wurde gesperrt."),
    "secret": ("{}", "see {} in the old notes", "curl -H 'X: {}' https://host.example"),
    "name": (
        "{} hat die Anlage am Montag abgenommen.",
        "Yesterday {} changed the filter again.",
        "Pump overhauled by {}, no leaks.",
        "Avec {} nous avons remplacé la vanne.",
        "Lo ha riparato {} ieri sera.",
    ),
}
"""Passages that do not."""

PASSWORDS = (
    "password = '{}'",
    "DB_PASSWORD={}\n",
    '"password": "{}",',
    "Das Passwort lautet {} (bitte ändern)",
    "the password is {} for now",
    "mysql --user root --password {} shop",
    "Kennwort: {}\n",
    "mot de passe : {}\n",
    "<password>{}</password>",
    "postgres://ada:{}@db.example.com:5432/shop",
)

MAKERS: dict[str, Maker] = {
    "email": values.email,
    "phone": values.phone,
    "iban": values.iban,
    "card": values.card,
    "ip": values.ip,
    "mac": values.mac,
    "secret": values.token,
    "name": values.person,
}

ID_TOLD = (
    "{name}: {}",
    "Die {name} {} bitte angeben.",
    "Employee 17, {name} {}, joined in May.",
    "{name} no. {} (copy attached)",
)
ID_BARE = ("{}", "Akte 17: {}, geprüft", "record {} updated")


def labelled_set(seed: int, of_each: int) -> Iterator[Sample]:
    """So many passages of each kind and form, then so many of each sort of negative."""
    draw = random.Random(seed)
    for kind, maker in MAKERS.items():
        for told, sentences in ((True, TOLD[kind]), (False, BARE[kind])):
            for _ in range(of_each):
                yield _filled(draw.choice(sentences), maker(draw), kind, told)
    for _ in range(of_each):
        yield _filled(draw.choice(PASSWORDS), values.password(draw), "secret", True)
    for country, (name, make_id) in NATIONAL_IDS.items():
        for told, sentences in ((True, ID_TOLD), (False, ID_BARE)):
            for _ in range(max(1, of_each // 4)):
                sentence = draw.choice(sentences).replace("{name}", name)
                yield _filled(sentence, drawn(draw, make_id), f"national_id/{country[:2]}", told)
    for kind, negative in NEGATIVES.items():
        for _ in range(of_each):
            yield Sample(negative(draw), kind, (), False)


def hard_set(seed: int, of_each: int) -> Iterator[tuple[str, Sample]]:
    """So many passages of each hard form, with its name."""
    draw = random.Random(seed)
    for form, (kind, maker, sentence) in HARD_FORMS.items():
        for _ in range(of_each):
            yield form, _filled(sentence, maker(draw), kind, True)


def _filled(sentence: str, value: str, kind: str, told: bool) -> Sample:
    before, _, after = sentence.partition("{}")
    return Sample(before + value + after, kind, ((len(before), len(before) + len(value)),), told)
