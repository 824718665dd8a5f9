"""Forged and borrowed tokens, at the door of a gateway at work."""

from __future__ import annotations

import time

import pytest

from tests.serving.gateway.house import House, chat
from tests.serving.identity.test_tokens import CURVE, FORGED, claims, raw, token


def test_good_tokens_open_what_their_holders_may_use(house: House) -> None:
    for bearer in (token(sub="ada"), token(CURVE, "ES256", "curve", sub="ada"), token(aud=["x", "gateway"])):
        with house.gateway.client(bearer) as client:
            assert client.post("/v1/chat/completions", json=chat("ward")).status_code == 200
            assert client.post("/v1/chat/completions", json=chat("acme:export")).status_code == 404
    with house.gateway.client(token(groups=["root", "nurses"])) as client:
        assert client.post("/v1/chat/completions", json=chat("acme")).status_code == 200
        assert client.post("/v1/chat/completions", json=chat("ward")).status_code == 404
    # Whom the configuration lists is in the group whatever the token says.
    with house.gateway.client(token(sub="lee", groups=[])) as client:
        assert client.post("/v1/chat/completions", json=chat("ward")).status_code == 200


def test_a_token_administers_only_by_a_group_that_does(house: House) -> None:
    for groups, status in (([], 403), (["admins"], 200), (["admin", "Admins", "admins "], 403)):
        with house.gateway.client(token(groups=groups)) as client:
            assert client.get("/metrics").status_code == status


def test_no_forged_token_opens_any_route(house: House) -> None:
    with house.client(None) as client:
        for attack, make in FORGED.items():
            headers = [("authorization", f"Bearer {make()}")]
            for said in (
                client.get("/v1/models", headers=headers),
                client.post("/v1/chat/completions", json=chat(), headers=headers),
            ):
                assert said.status_code == 401, attack
                assert said.json()["error"]["code"] == "invalid_api_key"
                assert "example.org" not in said.text


@pytest.mark.parametrize(
    "kid", ["../keys.json", "keys.json", "/dev/null", "x' OR '1'='1", "ours\x00", "", "a" * 5000, 7]
)
def test_a_key_id_is_only_ever_compared(house: House, kid: object) -> None:
    forged = raw({"alg": "RS256", "typ": "JWT", "kid": kid}, claims(), b"x" * 256)
    with house.gateway.client(forged) as client:
        begun = time.monotonic()
        assert client.get("/v1/models").status_code == 401
        assert time.monotonic() - begun < 30


def test_two_credentials_are_none(house: House) -> None:
    with house.client(None) as client:
        good = [("authorization", f"Bearer {token()}")]
        assert client.get("/v1/models", headers=good).status_code == 200
        for more in (good, [("authorization", f"Bearer {house.keys['user:ada']}")]):
            assert client.get("/v1/models", headers=[*good, *more]).status_code == 401
