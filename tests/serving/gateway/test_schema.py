"""Whatever our own OpenAPI description allows, and much that it does not: nothing of it is a fault of the gateway."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from tests.serving.gateway.house import House

schemathesis = pytest.importorskip("schemathesis", reason="there is no schemathesis: pip install '.[test-slow]'")

EXAMPLES = 60

SHORT = {
    "/v1/chat/completions": {"max_tokens": 2, "max_completion_tokens": None},
    "/v1/completions": {"max_tokens": 2},
    "/v1/responses": {"max_output_tokens": 2},
}
"""Routes with answers, and what keeps them short."""


@pytest.mark.slow
def test_no_request_that_can_be_thought_of_is_a_fault_of_ours(house: House) -> None:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st
    from hypothesis.errors import Unsatisfiable

    bounded = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with house.client("user:of-admins") as client:
        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        tried: dict[str, set[int]] = {}
        for found in schema.get_all_operations():
            operation = found.ok()
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

                @bounded
                @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
                def ask(case: Any, known: bool) -> None:
                    if known and isinstance(case.body, dict) and "model" in case.body:
                        # One that is there; of its answers the beginnings are enough.
                        case.body = {**case.body, "model": "acme", **SHORT.get(case.operation.path, {})}
                    case.headers = {**(case.headers or {}), "authorization": client.headers["authorization"]}
                    said = case.call(base_url=house.gateway.address, timeout=60)
                    tried.setdefault(case.operation.label, set()).add(said.status_code)
                    assert said.status_code < 500, (case.operation.label, said.text)
                    assert client.get("/ready").status_code == 200

                # What takes nothing cannot be got wrong.
                with suppress(Unsatisfiable):
                    ask()
        print(tried)
    assert all(200 in tried[f"POST {path}"] for path in SHORT), tried
