"""Payment cards: the issuer's prefix, the length that goes with it, and Luhn's check digit (ISO/IEC 7812-1)."""

from __future__ import annotations

import re

from loresmith.data.privacy.checksums import luhn
from loresmith.data.privacy.numbers import Layout, NumberRule

_ISSUERS = re.compile(
    r"4[0-9]{15}(?:[0-9]{3})?"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11}"  # Diners Club
    r"|6(?:011|22[1-9]|4[4-9][0-9]|5[0-9]{2})[0-9]{12}"  # Discover
    r"|62[0-9]{14}(?:[0-9]{3})?"  # UnionPay
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}"  # JCB
    r"|(?:5018|5020|5038|6304|6759|676[1-3])[0-9]{12}(?:[0-9]{3})?"  # Maestro
)


def is_card(digits: str) -> bool:
    """Whether a card can have that number."""
    return _ISSUERS.fullmatch(digits) is not None and luhn(digits) and len(set(digits)) > 1


CARD = NumberRule(
    "card",
    "card",
    (
        Layout("#### #### #### ####", 0.9),
        Layout("####-####-####-####", 0.9),
        Layout("#### ###### #####", 0.9),
        Layout("####-######-#####", 0.9),
        Layout("#### ###### ####", 0.8),
        Layout("#### #### #### #### ###", 0.9),
        Layout("################", 0.6),
        Layout("###############", 0.5),
        Layout("##############", 0.4),
        Layout("###################", 0.5),
    ),
    is_card,
    r"card|karte|carte|tarjeta|carta|cart.o|visa|mastercard|maestro|amex|american express|diners|discover|unionpay|jcb"
    r"|kreditk|pan\b|\bcc\b|kaart|kort",
)
