"""What the service department has in German and in French."""

from __future__ import annotations

from manual_chapters import Chapter

DOSIERPUMPE = (
    Chapter(
        "Aufbau der Dosierpumpe ND 12",
        (
            "Die ND 12 ist eine Membranpumpe für Chlorbleichlauge, Natronlauge und Flockungsmittel. Ein Magnet "
            "drückt die Membran nach vorn, eine Feder zieht sie zurück. Zwei Kugelventile sorgen dafür, dass die "
            "Flüssigkeit nur in eine Richtung strömt.",
            "Die Fördermenge wird über die Hubzahl eingestellt. Die Hublänge ist ab Werk so gewählt, dass bei 100 "
            "Hüben in der Minute zwölf Liter in der Stunde gefördert werden. Verstellt werden darf sie nur bei "
            "laufender Pumpe.",
        ),
    ),
    Chapter(
        "Entlüften und Prüfen",
        (
            "Luft im Pumpenkopf ist die häufigste Ursache dafür, dass die Pumpe hubt und doch nicht fördert. "
            "Chlorbleichlauge gast vor allem im Sommer aus. Deshalb wird der Kopf einmal in der Woche entlüftet.",
            "Nach jedem Entlüften wird die Fördermenge am Messzylinder geprüft. Weicht sie um mehr als fünf Prozent "
            "ab, sind die Ventile zu reinigen; hilft das nicht, wird die Membran gewechselt.",
        ),
        (
            "Schutzbrille und Handschuhe anlegen.",
            "Den Schlauch der Entlüftung in den Behälter zurückführen.",
            "Die Entlüftungsschraube um eine halbe Umdrehung öffnen.",
            "Die Pumpe mit voller Hubzahl laufen lassen, bis keine Blasen mehr kommen.",
            "Die Schraube schließen und den Messzylinder ablesen.",
        ),
    ),
)

HINWEIS = (
    "Diese Unterlage gilt nur für Anlagen ab Baujahr 2019. Für ältere Anlagen sind die Angaben auf dem Typenschild "
    "maßgebend; im Zweifel fragt man den Kundendienst, bevor man beginnt."
)
"""It stands in two documents."""

SICHERHEIT = (
    "Vor allen Arbeiten an Verdichtern ist die Anlage vom Netz zu trennen und gegen Wiedereinschalten zu sichern. "
    "Das Schloss bleibt bei dem, der arbeitet; einen zweiten Schlüssel gibt es nicht.",
    "Der Behälter steht auch nach dem Abschalten unter Druck. Erst wenn das Manometer null zeigt und das Kugelventil "
    "am tiefsten Punkt geöffnet ist, darf ein Filter gelöst werden.",
    "Heißes Öl verursacht schwere Verbrennungen. Beim Ölwechsel sind Handschuhe mit Stulpen zu tragen, und unter dem "
    "Ablass steht niemand. Verschüttetes Öl wird sofort mit Bindemittel aufgenommen, nicht erst am Ende der Schicht.",
    "Druckluft wird niemals auf Menschen gerichtet, auch nicht zum Reinigen der Kleidung. Schon ein geringer Druck "
    "kann durch die Haut dringen oder das Trommelfell verletzen.",
)

AUSHANG = (
    "Gehörschutz ist im Verdichterraum Pflicht. Die Geräte stehen im Kasten neben der Tür; wer einen beschädigten "
    "findet, meldet ihn sofort, und hängt ihn nicht zurück.",
    "Leckagen an Ölleitungen werden nicht abgedichtet, während die Anlage läuft. Öffnen, prüfen und schließen dürfen "
    "nur Beschäftigte, die für diese Anlage eingewiesen sind.",
    "Für Brände stehen Löscher der Klasse B bereit. Löschen über Kopfhöhe, Öllachen größer als ein Quadratmeter und "
    "Rauch im Schaltschrank sind Fälle für die Feuerwehr.",
)

SCHICHTBUCH = (
    "Frühschicht: Pumpe 3 läuft unruhig, am saugseitigen Lager wurden 5,1 Millimeter je Sekunde gemessen. Grenzwert "
    "überschritten, Austausch für Donnerstag geplant. Die Prüfung der Kupplung ergab keine Auffälligkeiten.",
    "Spätschicht: Trübung im Ölglas von Verdichter 2. Kondensat abgelassen, ungefähr ein halber Liter. Öl bleibt "
    "vorläufig drin, Probe ist zum Labor unterwegs. Bitte täglich vor dem Anfahren prüfen.",
    "Nachtschicht: Störung an der Dosierpumpe behoben, Kugelventil war verklebt. Für die Ersatzmembran fehlt die "
    "Größe im Lager, Bestellung läuft über die Werkstatt.",
)

FRANCAIS = (
    "La pompe ne doit jamais fonctionner à sec. Avant la mise en service, remplissez le corps et la conduite "
    "d'aspiration jusqu'à ce que le liquide sorte sans bulles par la purge. Vérifiez ensuite le sens de rotation du "
    "moteur.",
    "Les roulements sont graissés toutes les quatre mille heures. N'utilisez que la graisse indiquée dans le "
    "tableau, et essuyez le graisseur avant d'y poser le pistolet, car la plupart des impuretés entrent avec la "
    "graisse.",
)
