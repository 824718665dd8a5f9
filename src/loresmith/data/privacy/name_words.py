"""The words around names: what says that one follows, and what says that it was none."""

from __future__ import annotations

import re

_TITLES = """
    Herr Herrn Frau Fräulein Mr Mrs Ms Miss Mme Mlle Monsieur Madame Mademoiselle Señor Señora Sr Sra Signor Signora
    Sig Dott Dhr Mevr Mevrouw Meneer Pan Pani Fru Prof Professor Dr Dipl Ing Sir Lady Senhor Senhora Rev
"""
_LABELS = """
    Name Nachname Vorname Ansprechpartner Ansprechpartnerin Bearbeiter Bearbeiterin Sachbearbeiter Sachbearbeiterin
    Kunde Kundin Patient Patientin Mitarbeiter Mitarbeiterin Contact Author Customer Employee Attn Technician Nom
    Auteur Client Cliente Nombre Autor Nome Autore Naam Signed Reported Reviewed
"""
_OTHERS = """
    The A An In On At Of For And Or But If Is Are Was It This That These Those He She We You They My Your Our To
    From With By As Not No Yes Der Die Das Ein Eine Und Oder Im Am Zum Zur Von Mit Für Auf Bei Ist Sind Hat Wird Es
    Sie Er Ich Wir Nicht Le La Les Un Une Et El Los Las Y Inc Ltd Corp Company Foundation Institute University
    College School Street Road Avenue Park Hospital Airport Station Bridge Lake River Straße Platz Weg Allee
    Universität Stiftung Schule Klinik Gymnasium GmbH Award Prize Theorem Algorithm Method Function Transform
    Equation Distribution Law Effect Constant Number Code Model Test Series Filter Coefficient Diagram Curve Matrix
    Space License Licence Day Time Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March
    April May June July August September October November December Version Release Project Library Server System
    Software Press Publishing Edition Verlag Grüße Gruß Danke Hallo Liebe Lieber Thanks Thank Hello Hi Dear Regards
    Best Cheers Merci Bonjour Cordialement Gracias Hola Saludos Grazie Ciao
"""

TITLE_WORDS = frozenset(_TITLES.split())
LABEL_WORDS = frozenset(_LABELS.split())
NOT_SURNAMES = TITLE_WORDS | frozenset(_OTHERS.split())
"""Words that stand after a given name with a capital, and are no surname."""

ORGANISATION = re.compile(
    r"[ \-](?:Institut[e]?|Stra(?:ß|ss)e|Str\.|Platz|Weg|Allee|Ring|Ufer|Brücke|Haus|Schule|Gymnasium|Universit[äy]t?"
    r"|University|College|School|Station|Airport|Hospital|Klinik|Krankenhaus|Street|Road|Avenue|Park|Bridge|Foundation"
    r"|Stiftung|GmbH|AG|KG|Inc|Ltd|LLC|SE|Award|Prize|Preis|Press|Verlag|Library|Center|Centre|Museum|Stadium|Building)(?!\w)"
)
"""What comes after a name that is the name of a place or a body: `Robert Koch Institut`."""
