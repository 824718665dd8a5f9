"""Whatever our own OpenAPI description allows, and much that it does not: nothing of it is a fault of the gateway."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.serving.gateway.gateways import RunningGateway
from tests.serving.gateway.guarded_house import REFUSED, Guarded
from tests.serving.gateway.house import House
from tests.serving.gateway.test_figures import figures, named

schemathesis = pytest.importorskip("schemathesis", reason="there is no schemathesis: pip install '.[test-slow]'")

EXAMPLES = 60

SHORT = {
    "/v1/chat/completions": {"max_tokens": 2, "max_completion_tokens": None},
    "/v1/completions": {"max_tokens": 2},
    "/v1/responses": {"max_output_tokens": 2},
}
"""Routes with answers, and what keeps them short."""

TEXTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "/v1/chat/completions": lambda text: {"messages": [{"role": "user", "content": text}]},
    "/v1/completions": lambda text: {"prompt": text},
    "/v1/responses": lambda text: {"input": text},
}
"""What asks them for a text."""


PYDANTIC = ("Input should", "should have", "should match", "Field required", "validation", "Value error", "valid ")
"""Words of the library that reads bodies: callers are told in ours."""


@pytest.mark.slow
def test_no_request_that_can_be_thought_of_is_a_fault_of_ours(house: House) -> None:
    tried = ask_all(house.gateway, house.keys["user:of-admins"], EXAMPLES)
    assert all(200 in tried[f"POST {path}"] for path in SHORT), tried


@pytest.mark.slow
def test_nor_is_one_where_guards_look_at_what_comes_and_goes(guarded: Guarded) -> None:
    """On texts of any letters, in every place where a text may stand."""
    before = verdicts(guarded)
    tried = ask_all(guarded.gateway, guarded.grace, EXAMPLES // 2, text=f"x {REFUSED} y")
    assert all({200, 400} <= tried[f"POST {path}"] for path in SHORT), tried
    assert verdicts(guarded) > before


def verdicts(guarded: Guarded) -> float:
    """How often guards found something."""
    found = named(figures(guarded.gateway, guarded.grace), "guard_verdicts_total")
    return sum(found.values())


def ask_all(gateway: RunningGateway, key: str, examples: int, text: str = "") -> dict[str, set[int]]:
    """The statuses of each operation, asked by whatever can be thought of.

    Args:
        text: asked for now and then, where a text is asked for.
    """
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st
    from hypothesis.errors import Unsatisfiable

    bounded = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    tried: dict[str, set[int]] = {}
    with gateway.client(key) as client:
        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        for found in schema.get_all_operations():
            operation = found.ok()
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

                @bounded
                @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans(), asks=st.booleans())
                def ask(case: Any, known: bool, asks: bool) -> None:
                    if known and isinstance(case.body, dict) and "model" in case.body:
                        # One that is there; of its answers the beginnings are enough.
                        case.body = {**case.body, "model": "acme", **SHORT.get(case.operation.path, {})}
                        if text and asks:
                            case.body |= TEXTS.get(case.operation.path, lambda _: {})(text)
                    case.headers = {**(case.headers or {}), "authorization": client.headers["authorization"]}
                    said = case.call(base_url=gateway.address, timeout=60)
                    tried.setdefault(case.operation.label, set()).add(said.status_code)
                    assert said.status_code < 500, (case.operation.label, said.text)
                    if said.status_code == 400:
                        assert not any(word in said.json()["error"]["message"] for word in PYDANTIC), said.text
                    assert client.get("/ready").status_code == 200

                # What takes nothing cannot be got wrong.
                with suppress(Unsatisfiable):
                    ask()
    print(tried)
    return tried
