"""The door: what no route lets in, whoever asks and however it is written."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute

from loresmith import Workspace
from loresmith.sdk.calls.keys import REVOKE
from loresmith.serving.audit.record import AuditRecord
from loresmith.serving.gateway.app import make_app
from loresmith.serving.gateway.door import OPEN
from tests.serving.gateway.house import LIMITS, House, chat, head_of, make_keys, raw, wait_until, work_of
from tests.serving.gateway.records import records_of
from tests.serving.gateway.test_figures import figures

SECURE = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


def routes() -> list[tuple[str, str]]:
    """Every method and path that the application has, as it is and not as it was when this test was written."""
    from loresmith.serving.gateway.gateway import Gateway

    app = make_app(Gateway.__new__(Gateway))
    found = []
    for route in app.routes:
        path = str(getattr(route, "path", ""))
        for method in sorted(getattr(route, "methods", None) or ()):
            if method != "HEAD" or not isinstance(route, APIRoute):
                found.append((method, path.replace("{name:path}", "acme").replace("{", "").replace("}", "")))
    assert ("POST", "/v1/chat/completions") in found
    return found


PAGES = {"/", "/playground.css", "/playground.js"}
"""Open besides: the same for everybody, and without anything of anybody. Whatever else is open is a fault."""

BEHIND = [(method, path) for method, path in routes() if path not in OPEN | PAGES]
POSTS = [path for method, path in BEHIND if method == "POST"]


@pytest.fixture(scope="module")
def once_good(house: House) -> dict[str, str]:
    """Keys that were good: one is revoked, one has expired."""
    from loresmith.sdk.calls.keys import CREATE

    begun = time.monotonic()
    with Workspace.open(house.workspace) as opened:
        brief = CREATE.request(principal="user:brief", expires_in_days=2 / 86_400, because="for the tests")
        expired = CREATE.run(opened, brief, lambda _: None).secret
    secrets = {"expired": expired, **make_keys(house.workspace, {"user:gone": ()})}
    with house.gateway.client(secrets["user:gone"]) as client:
        wait_until(lambda: client.get("/v1/models").status_code == 200)
        with Workspace.open(house.workspace) as opened:
            key = secrets["user:gone"].split("-")[1]
            REVOKE.run(opened, REVOKE.request(key=key, because="for the tests"), lambda _: None)
        # The promise is 5 seconds from the moment when the ledger has it, for what is asked then.
        revoked = asked = time.monotonic()
        while client.get("/v1/models").status_code == 200:
            assert asked < revoked + 5
            time.sleep(0.05)
            asked = time.monotonic()
        wait_until(lambda: client.get("/v1/models").status_code == 401)
    time.sleep(max(0, begun + 3 - time.monotonic()))  # by then the other is over
    return secrets


def strangers(house: House, once_good: dict[str, str]) -> dict[str, list[tuple[str, str]]]:
    """Headers of callers who are not let in."""
    good = house.keys["user:ada"]
    other = house.keys["user:stranger"]
    changed = good[:-1] + ("A" if good[-1] != "A" else "B")
    return {
        "nobody": [],
        "an empty header": [("authorization", "")],
        "no secret": [("authorization", "Bearer")],
        "another scheme": [("authorization", f"Basic {good}")],
        "no scheme": [("authorization", good)],
        "one letter off": [("authorization", f"Bearer {changed}")],
        "one letter more": [("authorization", f"Bearer {good}A")],
        "another's secret": [("authorization", f"Bearer {good.rpartition('-')[0]}-{other.rpartition('-')[2]}")],
        "two": [("authorization", f"Bearer {good}"), ("authorization", f"Bearer {good}")],
        "two, the second bad": [("authorization", f"Bearer {good}"), ("Authorization", "Bearer x")],
        "two in one": [("authorization", f"Bearer {good}, Bearer {good}")],
        "two spaces": [("authorization", f"Bearer  {good}")],
        "in another header": [("x-api-key", good), ("api-key", good), ("cookie", f"authorization=Bearer {good}")],
        "as the proxy says": [("x-forwarded-user", "ada"), ("x-remote-user", "ada"), ("forwarded", "for=127.0.0.1")],
        "revoked": [("authorization", f"Bearer {once_good['user:gone']}")],
        "expired": [("authorization", f"Bearer {once_good['expired']}")],
        "a path": [("authorization", "Bearer ../../etc/passwd")],
        "very long": [("authorization", "Bearer " + "ls-" + "a" * 30_000)],
    }


def test_no_route_is_open_to_strangers(house: House, once_good: dict[str, str]) -> None:
    answers = set()
    with house.client(None) as client:
        for method, path in BEHIND:
            for who, headers in strangers(house, once_good).items():
                said = client.request(method, path, headers=headers, content=b"{}" if method == "POST" else None)
                assert said.status_code == 401, (method, path, who)
                assert said.headers["www-authenticate"] == "Bearer"
                if method != "HEAD":
                    answers.add(said.text)
    assert len(answers) == 1  # which of these it was is for the audit alone
    assert json.loads(answers.pop())["error"]["code"] == "invalid_api_key"


def test_a_key_in_the_address_opens_nothing(house: House) -> None:
    key = house.keys["user:ada"]
    with house.client(None) as client:
        for query in (f"api_key={key}", f"key={key}", f"authorization=Bearer%20{key}"):
            assert client.get(f"/v1/models?{query}").status_code == 401


def test_what_is_open_says_nothing_of_anybody(house: House) -> None:
    with house.client(None) as client:
        assert client.get("/health").json() == {"status": "alive"}
        assert client.get("/ready").json() == {"status": "ready", "problems": [], "notes": []}


UNKNOWN = [
    *("/v1", "/v1/", "/v1/chat", "/v1/chat/completions/", "/v1/chat/completions/x", "//v1/chat/completions"),
    *("/V1/chat/completions", "/v1/chat/completions%00", "/v1/chat/completions;x", "/./v1/chat/completions/.."),
    *(
        "/v1/chat//completions",
        "/health/",
        "/docs",
        "/redoc",
        "/.env",
        "/admin",
        "/metrics/",
        "/v1/engines",
        "/%2e%2e/",
    ),
    *("/v1/chat%2fcompletions%20", "/v1/chat/completions\\"),
]


def recorded(house: House) -> int:
    """How many records there are, but for those of looking at the figures."""
    with house.client("user:of-admins") as client:
        last = client.get("/metrics").headers["x-request-id"]
    records_of(house.workspace, last)  # what came before it is in the ledger too
    with Workspace.open(house.workspace) as opened:
        return sum(AuditRecord.from_row(row).action != "administer" for row in opened.ledger.audit_records.search())


def test_what_there_is_not_is_not_found_whoever_asks(house: House) -> None:
    """And neither an engine nor the record hears of it, and of the counters that alone which is for it."""
    before, records = figures(house.gateway, house.keys["user:of-admins"]), recorded(house)
    for who in (None, "user:ada", "user:of-admins"):
        with house.client(who) as client:
            for path in UNKNOWN:
                for method in ("GET", "POST"):
                    said = client.request(method, path, json=chat() if method == "POST" else None)
                    assert said.status_code == 404, (who, method, path)
                    assert said.json()["error"]["code"] == "not_found"
    assert work_of(house) == 0
    after, unread = figures(house.gateway, house.keys["user:of-admins"]), ("loresmith_unread_total", ("404",))
    assert after[unread] - before[unread] == 3 * len(UNKNOWN) * 2
    assert after - before == {unread: after[unread] - before[unread]}
    assert recorded(house) == records


def test_other_methods_are_not_possible(house: House) -> None:
    with house.client() as client:
        for _, path in BEHIND:
            for other in {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND"}:
                if (other, path) in BEHIND or path == "/openapi.json":
                    continue
                assert client.request(other, path).status_code == 405, (other, path)


def test_every_answer_has_the_headers_that_keep_browsers_honest(house: House) -> None:
    with house.client() as client:
        seen = [
            *(client.get(path) for path in ("/health", "/ready", "/v1/models", "/nothing", "/metrics")),
            client.put("/health"),
            client.post("/v1/chat/completions", json=chat()),
            client.post("/v1/chat/completions", json=chat(stream=True)),
            client.post("/v1/chat/completions", content=b"{"),
        ]
        seen.append(client.get("/v1/models", headers={"authorization": "Bearer x"}))
    for said in seen:
        assert {name: said.headers[name] for name in SECURE} == SECURE
        assert "server" not in said.headers
        assert "access-control-allow-origin" not in said.headers
    assert len({said.headers["x-request-id"] for said in seen}) == len(seen)


def deep(depth: int) -> bytes:
    return json.dumps(chat(metadata={"x": 0})).replace("0}", "[" * depth + "]" * depth + "}").encode()


BODIES: dict[str, tuple[bytes, str, int, str]] = {
    "nothing": (b"", "application/json", 400, "invalid_request"),
    "no JSON": (b"{", "application/json", 400, "invalid_request"),
    "a list": (b"[1]", "application/json", 400, "invalid_request"),
    "a number": (b"7", "application/json", 400, "invalid_request"),
    "null": (b"null", "application/json", 400, "invalid_request"),
    "not UTF-8": (b'{"model": "\xff\xfe"}', "application/json", 400, "invalid_request"),
    "UTF-16": ('{"model": "acme"}'.encode("utf-16"), "application/json", 400, "invalid_request"),
    "a null byte": (b'{"model": "a\x00b"}', "application/json", 400, "invalid_request"),
    "deep": (deep(17), "application/json", 400, "too_deep"),
    "deep, and no end": (b"[" * 60_000, "application/json", 400, "too_deep"),
    "deep objects": (b'{"a":' * 9000, "application/json", 400, "too_deep"),
    "large": (b'"' + b"x" * 65_536 + b'"', "application/json", 413, "request_too_large"),
    "a form": (b"model=acme", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    "text": (json.dumps(chat()).encode(), "text/plain", 415, "unsupported_media_type"),
    "no type": (json.dumps(chat()).encode(), "", 415, "unsupported_media_type"),
    "nearly JSON": (json.dumps(chat()).encode(), "application/json-patch", 415, "unsupported_media_type"),
    "compressed": (b"\x1f\x8b\x08\x00" + b"x" * 40, "application/json", 400, "invalid_request"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_is_none_is_refused_on_every_route(house: House, kind: str) -> None:
    body, media_type, status, code = BODIES[kind]
    with house.client("user:of-admins") as client:
        for path in POSTS:
            if path.startswith("/admin") and code == "invalid_request":
                continue  # takes no body
            said = client.post(path, content=body, headers={"content-type": media_type} if media_type else {})
            assert (said.status_code, said.json()["error"]["code"]) == (status, code), path


def test_depth_is_counted_outside_of_strings_only(house: House) -> None:
    with house.client() as client:
        assert client.post("/v1/chat/completions", json=chat(text='["\\' + "[{" * 500)).status_code == 200
        assert client.post("/v1/chat/completions", content=deep(12), headers=JSON).status_code == 200


JSON = {"content-type": "application/json"}


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


BODY = json.dumps(chat()).encode()
SIZE = f"Content-Length: {len(BODY)}"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
TYPE = "Content-Type: application/json"
HIDDEN = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def smuggled(house: House) -> dict[str, bytes]:
    """Requests whose end servers before and behind could see in different places."""
    return {
        "a length and chunks": head_of(house, TYPE, SIZE, "Transfer-Encoding: chunked") + CHUNKED,
        "chunks and a length": head_of(house, TYPE, "Transfer-Encoding: chunked", "Content-Length: 5") + CHUNKED,
        "two lengths": head_of(house, TYPE, SIZE, "Content-Length: 5") + BODY,
        "two lengths in one": head_of(house, TYPE, f"{SIZE}, 5") + BODY,
        "a signed length": head_of(house, TYPE, f"Content-Length: +{len(BODY)}") + BODY,
        "a negative length": head_of(house, TYPE, "Content-Length: -1") + BODY,
        "a length in hex": head_of(house, TYPE, f"Content-Length: {len(BODY):#x}") + BODY,
        "a length that is none": head_of(house, TYPE, "Content-Length: ") + BODY,
        "a length of other digits": head_of(house, TYPE, "Content-Length: \u0664\u0662") + BODY,
        "a huge length": head_of(house, TYPE, "Content-Length: " + "9" * 40) + BODY,
        "chunks twice": head_of(house, TYPE, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + CHUNKED,
        "chunks, and something": head_of(house, TYPE, "Transfer-Encoding: chunked, identity") + CHUNKED,
        "chunks misspelt": head_of(house, TYPE, "Transfer-Encoding: xchunked") + CHUNKED,
        "chunks behind a tab": head_of(house, TYPE, "Transfer-Encoding:\tchunked", SIZE) + CHUNKED,
        "a space before the colon": head_of(house, TYPE, "Transfer-Encoding : chunked") + CHUNKED,
        "a line folded": head_of(house, TYPE, "X: y\r\n Transfer-Encoding: chunked", SIZE, "Z: \x00") + BODY,
        "a chunk's size with a sign": head_of(house, TYPE, "Transfer-Encoding: chunked") + b"+5\r\nabcde\r\n0\r\n\r\n",
        "a chunk's size with no end": head_of(house, TYPE, "Transfer-Encoding: chunked") + b"f" * 40 + b"\r\n",
        "a bare carriage return": head_of(house, TYPE, "X: y\rTransfer-Encoding: chunked", SIZE) + BODY,
        "a null in a header": head_of(house, TYPE, "X: a\x00b", SIZE) + BODY,
        "HTTP/0.9": b"GET /v1/models\r\n\r\n",
        "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60,
        "no HTTP": b"\x00" * 200 + b"\r\n\r\n",
    }


def test_no_request_hides_another(house: House) -> None:
    seen = {kind: statuses(raw(house.gateway, sent + HIDDEN, 1)) for kind, sent in smuggled(house).items()}
    # After such a request nothing more is read from the connection.
    wrong = {kind: told for kind, told in seen.items() if told not in ([], [400], [413], [431], [501])}
    assert wrong == {}
    with house.client() as client:
        assert client.post("/v1/chat/completions", json=chat()).status_code == 200


def test_headers_have_an_end(house: House) -> None:
    for more in (
        ["X: " + "y" * 100_000],
        [f"X{n}: y" for n in range(1000)],
        [f"X{n}: " + "y" * 900 for n in range(90)],
    ):
        answer = raw(house.gateway, head_of(house, TYPE, *more, SIZE, "Connection: close") + BODY, 20)
        assert statuses(answer) in ([400], [431]), answer[:300]
    long = head_of(house, "Connection: close", method="GET", path="/v1/models?" + "x" * 40_000)
    assert statuses(raw(house.gateway, long, 20)) in ([400], [431])


def test_a_request_names_its_host_once(house: House) -> None:
    whole = head_of(house, TYPE, SIZE, "Connection: close") + BODY
    for sent in (whole.replace(b"Host: x\r\n", b""), whole.replace(b"Host: x\r\n", b"Host: x\r\nHost: y\r\n")):
        assert statuses(raw(house.gateway, sent, 20)) == [400]


def test_what_comes_behind_a_request_is_one_of_its_own(house: House) -> None:
    hidden = HIDDEN.replace(b"Host: x", b"Host: x\r\nConnection: close")
    answer = raw(house.gateway, head_of(house, TYPE, SIZE) + BODY + hidden, 20)
    assert statuses(answer) == [200, 401]


def test_a_body_that_comes_too_slowly_is_given_up(house: House) -> None:
    def slowly() -> Iterator[bytes]:
        yield head_of(house, TYPE, SIZE)
        for place in range(len(BODY)):
            time.sleep(0.1)
            yield BODY[place : place + 1]
            if time.monotonic() - begun > 2 * LIMITS["body_seconds"]:
                return

    begun = time.monotonic()
    assert statuses(raw(house.gateway, slowly(), 10)) == [408]


def test_a_head_that_does_not_end_is_given_up(house: House) -> None:
    def endless() -> Iterator[bytes]:
        yield head_of(house)[:-2]
        for number in range(2000):
            yield b"X%d: %s\r\n" % (number, b"y" * 1000)

    assert statuses(raw(house.gateway, endless(), 2)) in ([431], [])  # [] where its answer was lost by the reset
    host, _, port = house.gateway.address.removeprefix("http://").rpartition(":")
    for sent in (b"", head_of(house)[:30]):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            begun = time.monotonic()
            connection.sendall(sent)
            assert statuses(connection.recv(1000)) == [408]
            assert connection.recv(1000) == b""
            assert time.monotonic() - begun < 5 * LIMITS["head_seconds"]


def test_a_request_that_breaks_off_leaves_nothing_behind(house: House) -> None:
    for sent in (head_of(house, TYPE, SIZE) + BODY[:20], head_of(house, TYPE, SIZE)[:60], b"", b"P"):
        assert raw(house.gateway, sent, 0.1) == b""
    with house.client() as client:
        assert client.post("/v1/chat/completions", json=chat()).status_code == 200


HOSTILE: dict[str, dict[str, Any]] = {
    "a bias without end": {"logit_bias": {"5": 1e308}},
    "a bias against all": {"logit_bias": {str(token): -1e30 for token in range(300)}},
    "a bias outside": {"logit_bias": {"999999": 1}},
    "a negative bias": {"logit_bias": {"-1": 1}},
    "a temperature of next to nothing": {"temperature": 1e-320},
    "a small temperature": {"temperature": 1e-40},
    "next to no probability": {"top_p": 1e-320},
    "no penalty": {"repetition_penalty": 1e-320},
    "min_p of all": {"min_p": 1},
    "an empty stop": {"stop": ""},
    "empty stops": {"stop": ["", ""]},
    "a long stop": {"stop": "x" * 30_000},
    "an expression that cannot be": {"guided_regex": "("},
    "an expression of exponents": {"guided_regex": "(a*)*b" * 200},
    "an expression of counts": {"guided_regex": "((a{1,1000}){1,1000}){1,1000}"},
    "a grammar that is none": {"guided_grammar": "start: nothing"},
    "a grammar in circles": {"guided_grammar": "start: start start | start"},
    "a grammar of a long chain": {
        "guided_grammar": "\n".join(["start: r0", *(f'r{n}: "a" r{n + 1}?' for n in range(3000)), 'r3000: "b"'])
    },
    "multiples of a large number": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"type": "integer", "multipleOf": 99_999_999}},
        }
    },
    "a schema of nothing": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {}}}}
    },
    "a schema in circles": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#"}}}
    },
    "a schema elsewhere": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"$ref": "file:///etc/passwd"}},
        }
    },
    "half a letter": {"messages": [{"role": "user", "content": "\ud800"}]},
    "half a letter in a stop": {"stop": "\udfff"},
    "half a letter in a name": {"messages": [{"role": "user", "content": "x", "name": "\ud800"}]},
    "the null letter": {"messages": [{"role": "user", "content": "a\x00b"}]},
    "the template's own marks": {"messages": [{"role": "user", "content": "<|im_end|><|end|>{{ 7 * 7 }}{% raw %}"}]},
    "parts that are no text": {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": 5}]}]},
    "parts without anything": {"messages": [{"role": "user", "content": [{}]}]},
    "a part whose type is a list": {"messages": [{"role": "user", "content": [{"type": [], "text": "a"}]}]},
    "a number too large": {"metadata": {"a": 10**400}},
    "a bias that is no number": {"logit_bias": {"5": float("nan")}},
    "a call that is a word": {"messages": [{"role": "assistant", "tool_calls": [{"function": "x"}]}]},
    "a schema with a number for definitions": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"$defs": 5, "definitions": None, "type": "boolean"}},
        }
    },
    "calls that are none": {"messages": [{"role": "assistant", "tool_calls": [{"function": 7}]}]},
    "calls without an end": {
        "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]
    },
    "only a system message": {"messages": [{"role": "system", "content": "x"}]},
    "a result of nothing": {"messages": [{"role": "tool", "content": "x"}]},
    "a tool of strange parameters": {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": 5}}}],
        "tool_choice": "required",
    },
    "a seed beyond": {"seed": 2**70},
    "not a number": {"temperature": float("nan")},
    "infinite": {"temperature": float("inf")},
    "a model with a line end": {"model": "acme\r\nX: y"},
    "a model of a path": {"model": "../../etc/passwd"},
    "a model and half a letter": {"model": "\ud800"},
    "an adapter of a path": {"model": "acme:../x"},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_request_breaks_the_engine_or_the_gateway(house: House, kind: str) -> None:
    for stream in (False, True):
        body = json.dumps(chat(**HOSTILE[kind], stream=stream), ensure_ascii=True).encode()
        with house.client() as client:
            said = client.post("/v1/chat/completions", content=body, headers=JSON)
            assert said.status_code in (200, 400, 404), said.text
            assert "error" not in said.text or said.status_code != 200, said.text
            assert client.get("/ready").status_code == 200
            after = client.post("/v1/chat/completions", json=chat())
            assert after.status_code == 200, after.text


PARTS = {
    "a picture": {"type": "image_url", "image_url": {"url": "data:,"}},
    "a sound": {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
    "no text": {"type": "text", "text": 5},
    "a type that is not known": {"type": "note", "text": "x"},
    "a type that is no word": {"type": ["text"], "text": "x"},
    "nothing": {},
}


@pytest.mark.parametrize("kind", PARTS)
def test_what_is_no_text_is_refused_and_not_left_out(house: House, kind: str) -> None:
    parts = [{"type": "text", "text": "What is this?"}, PARTS[kind]]
    with house.client() as client:
        said = client.post("/v1/chat/completions", json=chat(messages=[{"role": "user", "content": parts}]))
    assert said.status_code == 400, said.text
    assert said.json()["error"]["param"] in ("messages", "messages.0.content.1")
    assert "read text alone" in said.json()["error"]["message"]


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e400", "1.5E+0400", "1" + "0" * 400, "9" * 299 + "e99", "9" * 305 + ".0E+9"],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/feedback"])
def test_what_is_no_number_is_let_in_nowhere(house: House, number: str, path: str) -> None:
    usual = {"model": "acme", "input": "Hi"} if path == "/v1/responses" else chat()
    body = json.dumps({**usual, "metadata": {"a": 7, "NaN 1e999": "NaN"}})
    with house.client() as client:
        said = client.post(path, content=body.replace("7", number).encode(), headers=JSON)
        assert (said.status_code, said.json()["error"]["code"]) == (400, "invalid_request")
        assert "a number of the body" in said.json()["error"]["message"]
        # In a text they are words, and a large number is one.
        fine = client.post(path, content=body.replace("7", "1e300").encode(), headers=JSON)
        assert fine.status_code == (200 if path != "/v1/feedback" else 400), fine.text
        assert "a number of the body" not in fine.text


def test_stop_strings_have_an_end(house: House) -> None:
    with house.client() as client:
        for stop in ("x" * 200, ["x" * 200] * 16):
            assert client.post("/v1/chat/completions", json=chat(stop=stop)).status_code == 200
        for stop in ("x" * 201, ["x", "x" * 201], ["x"] * 17):
            said = client.post("/v1/chat/completions", json=chat(stop=stop))
            assert said.status_code == 400
            assert said.json()["error"]["param"].startswith("stop")


def test_errors_of_the_protocol_have_the_caller_s_type(house: House) -> None:
    with house.client() as client:
        no_json = client.post("/v1/chat/completions", content=b'{"model": ', headers=JSON)
        no_method = client.delete("/v1/models")
    assert no_json.json()["error"]["message"] == "the body is no JSON: EOF while parsing a value at line 1 column 10"
    assert (no_json.status_code, no_json.json()["error"]["param"]) == (400, None)
    assert (no_method.status_code, no_method.json()["error"]["type"]) == (405, "invalid_request_error")


@pytest.mark.parametrize("prompt", ["", [], [0], [-1], [10**9], [0.5], "\ud800", ["a", "b"], [[1, 2]], "\x00"])
def test_no_prompt_breaks_them_either(house: House, prompt: Any) -> None:
    with house.client() as client:
        body = json.dumps({"model": "acme", "prompt": prompt, "max_tokens": 2}).encode()
        assert client.post("/v1/completions", content=body, headers=JSON).status_code in (200, 400)
        assert client.get("/ready").status_code == 200
