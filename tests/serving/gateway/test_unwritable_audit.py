"""While the audit cannot be written nothing is answered, and whoever looks after the gateway still sees why."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from loresmith.sdk.calls.audit import VERIFY
from tests.serving.gateway.house import House, chat, wait_until
from tests.serving.gateway.records import records_of
from tests.serving.gateway.test_authorisation import ROUTES

ADMIN = "user:of-admins"
TROUBLE = "the audit cannot be written"


@contextmanager
def unwritable(workspace: Path) -> Iterator[None]:
    """A ledger whose database takes no record."""
    with closing(sqlite3.connect(workspace / ".loresmith" / "ledger.db", isolation_level=None)) as database:
        refuse = "BEGIN SELECT RAISE(ABORT, 'input/output error'); END"
        database.execute(f"CREATE TRIGGER no_record BEFORE INSERT ON audit_record {refuse}")
        try:
            yield
        finally:
            database.execute("DROP TRIGGER no_record")


def test_figures_and_health_are_told_while_all_else_is_refused(house: House) -> None:
    with house.client(ADMIN) as client, house.client(None) as stranger:
        answered = client.post("/v1/chat/completions", json=chat()).raise_for_status().json()["id"]
        records_of(house.workspace, answered)
        with unwritable(house.workspace):

            def refused() -> bool:
                return bool(client.post("/v1/chat/completions", json=chat()).status_code == 503)

            wait_until(refused)
            for path, body in {
                **{route: {"model": "acme", **body} for route, body in ROUTES.items()},
                "/v1/feedback": {"response": answered, "rating": "up"},
                "/admin/reload": {},
            }.items():
                for stream in (False, True) if path in ROUTES else (None,):
                    said = client.post(path, json=body if stream is None else {**body, "stream": stream})
                    assert (said.status_code, said.json()["error"]["code"]) == (503, "audit_unavailable"), (
                        path,
                        stream,
                    )
                    assert said.headers["retry-after"]
            # Without a credential, as a probe asks.
            assert stranger.get("/health").json() == {"status": "alive"}
            ready = stranger.get("/ready")
            assert (ready.status_code, ready.json()["problems"]) == (503, [TROUBLE])
            seen = client.get("/metrics")
            assert seen.status_code == 200
            assert "loresmith_ready 0.0" in seen.text.splitlines()
            assert 'status="503"' in seen.text
            assert house.client("user:ada").get("/metrics").status_code == 403
        wait_until(lambda: stranger.get("/ready").status_code == 200)
        assert "loresmith_ready 1.0" in client.get("/metrics").text.splitlines()
        client.post("/v1/chat/completions", json=chat()).raise_for_status()
        # Who looked meanwhile is on the record, too.
        assert records_of(house.workspace, seen.headers["x-request-id"])[-1].status == 200
    checked = VERIFY.perform(house.workspace, VERIFY.request(), lambda _: None)
    assert checked.sound, checked.problems
