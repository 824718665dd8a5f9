"""Plays the company's directory: writes the keys that it publishes, and a token for each of five people.

python directory.py        # directory/keys.json, and tokens/ines, tokens/jon, ...
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ISSUER = "https://login.supplier.example/"
HOURS = 9
PEOPLE = {
    "ines": ["PRG-HERON", "CLR-EXPORT"],
    "jon": ["PRG-HERON", "APPRENTICE"],
    "kim": ["PRG-HERON", "CLR-EXPORT", "NAT-FOREIGN"],
    "uma": ["PRG-HERON", "PRG-TERN"],
    "olga": [],
}


def main() -> None:
    private = Ed25519PrivateKey.generate()
    algorithm = jwt.get_algorithm_by_name("EdDSA")
    public = json.loads(algorithm.to_jwk(private.public_key()))
    key_id = public["x"][:8]
    Path("directory").mkdir(exist_ok=True)
    Path("tokens").mkdir(mode=0o700, exist_ok=True)
    Path("directory/keys.json").write_text(json.dumps({"keys": [{**public, "kid": key_id, "use": "sig"}]}))
    now = int(time.time())
    for person, groups in PEOPLE.items():
        claims = {
            "iss": ISSUER,
            "aud": "loresmith",
            "sub": person,
            "groups": groups,
            "iat": now,
            "exp": now + HOURS * 3600,
        }
        token = jwt.encode(claims, private, "EdDSA", {"kid": key_id})
        with open(os.open(f"tokens/{person}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(token)


if __name__ == "__main__":
    main()
