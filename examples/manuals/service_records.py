"""What the service department keeps in tables and in its mailbox. All people, numbers and addresses are made up."""

from __future__ import annotations

import csv
import io
import json
import random
import sqlite3
import tempfile
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path

PERSONAL = (
    "marta.lindqvist@nordhaven.example",
    "j.okafor@brineworks.example",
    "+49 40 31978214",
    "DE89 3704 0044 0532 0130 00",
    "4111 1111 1111 1111",
    "00:1B:44:11:3A:B7",
    "AKIAQ3EGRTB7XN5MWZ2L",
)
"""Stretches that point at a person or open a door, as they stand in the files; none may stand in the corpus."""

_MACHINES = ("NP 200", "NP 350", "NK 90", "ND 12", "PC 4")
_FAULTS = (
    ("The pump delivers less than half of its flow", "it turns backwards", "Swap two phases of the motor."),
    (
        "The casing becomes hot while the flow is small",
        "the bypass is closed",
        "Open the bypass by a turn and measure.",
    ),
    ("Oil in the compressed air", "the separator cartridge has torn", "Replace the cartridge and drain the traps."),
    ("The bearing on the motor's side whistles", "the film of grease is too thin", "Shorten the interval by a third."),
    (
        "Speed rises and falls every few seconds",
        "the vessel has lost its gas",
        "Fill up to 90 percent of the set point.",
    ),
    (
        "The motor trips an hour after the start",
        "the flow is far beyond the best point",
        "Throttle the discharge side.",
    ),
    ("Liquid at the gland", "the seal has run dry", "Replace both faces and check the flushing line."),
    (
        "A sound as of gravel",
        "the strainer of the suction side is clogged",
        "Clean it and note the pressure before it.",
    ),
    ("Die Pumpe hubt und fördert nicht", "Luft steht im Kopf", "Entlüften und die Menge am Zylinder prüfen."),
    ("Das Öl im Schauglas ist milchig", "Wasser ist kondensiert", "Eine Stunde über 75 Grad laufen lassen."),
    ("Der Verdichter erreicht den Druck nicht", "der Keilriemen rutscht", "Riemen spannen und die Scheiben entfetten."),
    ("Das Kugelventil schließt nicht", "Kristalle sitzen in der Führung", "Mit warmem Wasser spülen, nie mit Säure."),
)
_NOTES = (
    "seen after the weekend",
    "second time this month",
    "only while the neighbour starts",
    "not at low speed",
    "reported by the night shift",
    "the customer waits for an answer",
    "both machines of the group",
    "gone after cooling down",
)


def faults_csv() -> bytes:
    """A table of faults, with semicolons, as spreadsheets write it in Germany."""
    held = io.StringIO(newline="")
    table = csv.writer(held, delimiter=";", lineterminator="\r\n")
    table.writerow(["code", "machine", "symptom", "cause", "remedy"])
    for at, (symptom, cause, remedy) in enumerate(_FAULTS):
        for machine in _MACHINES[at % 3 : at % 3 + 3]:
            table.writerow([f"F{100 + 7 * at}", machine, symptom, cause, remedy])
    return held.getvalue().encode()


def tickets_jsonl(seed: int) -> bytes:
    """Tickets of the help desk; some name whom to call."""
    draw = random.Random(seed)
    lines = []
    for number in range(60):
        symptom, cause, remedy = draw.choice(_FAULTS)
        problem = f"{symptom}; {draw.choice(_NOTES)}."
        if number % 20 == 3:
            problem += f" Call {PERSONAL[2]} or write to {PERSONAL[1]}."
        ticket = {
            "ticket": 4100 + number,
            "opened": f"2026-0{1 + number % 9}-{1 + draw.randrange(28):02d}",
            "machine": draw.choice(_MACHINES),
            "serial": f"{draw.randrange(10**6):06d}",
            "problem": problem,
            "answer": f"Probably {cause}. {remedy}" if number % 4 else "",
        }
        lines.append(json.dumps(ticket, ensure_ascii=False))
    return ("\n".join(lines) + "\n").encode()


def work_orders(seed: int) -> bytes:
    """A database of work orders."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.sqlite"
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE work_order (number INTEGER PRIMARY KEY, machine TEXT, hall TEXT, task TEXT)")
            for number in range(1, 41):
                _, _, remedy = draw.choice(_FAULTS)
                hall, note = f"hall {1 + draw.randrange(6)}, bay {1 + draw.randrange(30)}", draw.choice(_NOTES)
                row = (number, draw.choice(_MACHINES), hall, f"{remedy} Background: {note}.")
                database.execute("INSERT INTO work_order VALUES (?, ?, ?, ?)", row)
        database.close()
        return path.read_bytes()


def mail(
    subject: str, text: str, name: str, answers: Sequence[str] = (), attached: tuple[str, bytes] | None = None
) -> EmailMessage:
    """A mail between the service desk and a customer."""
    message = EmailMessage()
    message["From"] = f"Marta Lindqvist <{PERSONAL[0]}>"
    message["To"] = f"Joseph Okafor <{PERSONAL[1]}>"
    message["Date"] = "Mon, 02 Mar 2026 10:00:00 +0100"
    message["Subject"] = subject
    message["Message-ID"] = f"<{name}@nordhaven.example>"
    if answers:
        message["In-Reply-To"] = f"<{answers[-1]}@nordhaven.example>"
        message["References"] = " ".join(f"<{each}@nordhaven.example>" for each in answers)
    message.set_content(text, cte="8bit")
    if attached:
        message.add_attachment(attached[1], maintype="application", subtype="pdf", filename=attached[0])
        message.set_boundary("=_nordhaven_1")
    return message


def report_with_attachment(attached: tuple[str, bytes]) -> bytes:
    """A mail about a measurement, with a file."""
    text = (
        "Dear Mr Okafor,\n\nattached you find the report of Thursday's measurement. The pump of line 2 is out of "
        "balance in the radial direction, 6.2 millimetres a second at the motor's side. We recommend to exchange the "
        f"impeller within four weeks.\n\nThe part costs 1,240 euros; please transfer them to {PERSONAL[3]} "
        f"beforehand, or name a card as last time ({PERSONAL[4]}).\n\nThe gateway in your cabinet reports as "
        f"{PERSONAL[5]}; its key for the storage, {PERSONAL[6]}, should be replaced by one of your own.\n\nKind "
        f"regards\n\n-- \nMarta Lindqvist\nService desk, telephone {PERSONAL[2]}\n"
    )
    return mail("Measurement of line 2", text, "m1", attached=attached).as_bytes()


def thread_mbox() -> bytes:
    """A mailbox with a thread of three mails, the later of which quote the earlier ones."""
    first = (
        "Hello,\n\nsince Tuesday the second compressor loses oil into the line. About a glass a day.\n\nJoseph Okafor\n"
    )
    second = (
        "Hello Mr Okafor,\n\nplease look at the pressure before and behind the separator cartridge. If they are "
        "equal, it has torn: close the line at once and drain the traps behind the dryer.\n\nOn Mon, 2 Mar 2026 "
        "Joseph Okafor wrote:\n> since Tuesday the second compressor loses oil into the line. About a glass\n> a "
        "day.\n"
    )
    third = (
        "They are equal. The cartridge is torn along its seam, the new one arrives tomorrow. How much oil has to be "
        "filled up afterwards?\n\nOn Mon, 2 Mar 2026 Marta Lindqvist wrote:\n> please look at the pressure before and "
        "behind the separator cartridge.\n> If they are equal, it has torn.\n"
    )
    mails = [
        mail("Oil in the line", first, "t1"),
        mail("Re: Oil in the line", second, "t2", ["t1"]),
        mail("Re: Re: Oil in the line", third, "t3", ["t1", "t2"]),
    ]
    return b"".join(b"From desk Mon Mar  2 10:00:00 2026\n" + each.as_bytes() + b"\n" for each in mails)
