"""The engine `openai`, over a real server: the same answers, and what happens when the server misbehaves."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loresmith.errors import Failure, UserError
from loresmith.models.storage import load_tokenizer
from loresmith.serving.engines.embedded.torch_engine import TorchEngine
from loresmith.serving.engines.generation import Chosen, Generation, JsonSchema, Regex
from loresmith.serving.engines.remote import remote_engine
from loresmith.serving.engines.remote.breaker import Breaker
from loresmith.serving.engines.remote.completion import read_piece
from loresmith.serving.engines.remote.remote_engine import RemoteEngine
from loresmith.serving.engines.remote.settings import RemoteServer
from loresmith.serving.engines.starting import engine_start
from loresmith.serving.parity.asking import NEW_TOKENS, ask_all, asking_engine
from loresmith.serving.parity.comparison import compare
from loresmith.serving.parity.prompts import parity_prompts
from loresmith.serving.parity.reference import Reference
from tests.serving.engines.answers import answers
from tests.serving.engines.completion_server import MODEL, CompletionServer, serving
from tests.serving.engines.test_torch_engine import SCHEMA, prompt, request

Served = tuple[CompletionServer, str]


@pytest.fixture
def served(tiny_directory: Path) -> Iterator[Served]:
    with serving(TorchEngine(tiny_directory, slots=8, window=300), load_tokenizer(tiny_directory)) as pair:
        yield pair


def remote(directory: Path, url: str, **given: Any) -> RemoteEngine:
    slots = given.pop("slots", 8)
    server = RemoteServer(url=url, model=MODEL, **given)
    return RemoteEngine(directory, server, slots=slots, window=1000)


def test_it_answers_as_the_engine_behind_the_server_does(served: Served, tiny_directory: Path) -> None:
    engine = remote(tiny_directory, served[1])
    assert (engine.facts.engine, engine.facts.window, engine.facts.version) == ("openai", 300, "0.32.1")
    assert engine.facts.path == "vllm, token ids"
    here = TorchEngine(tiny_directory, slots=8, window=300)
    asked = [
        request("plain", alternatives=3),
        request("choosy", sampling={"top_k": 5, "min_p": 0.05, "repetition_penalty": 1.3, "seed": 2**64 - 1}),
        request("penalised", sampling={"presence_penalty": 1.0, "frequency_penalty": 0.5, "logit_bias": {77: 2.0}}),
        request("form", constraint=Regex(value="[0-9]{4}-[0-9]{2}"), min_new_tokens=0),
        request("ends", ends=tuple(range(100, 200)), min_new_tokens=0),
        request("window", 295, max_new_tokens=100),
    ]
    # The protocol's seeds have 63 bits.
    folded = [one.model_copy(update={"sampling": _folded(one)}) for one in asked]
    got, expected = answers(engine, asked), answers(here, folded)
    for id_, answer in expected.items():
        assert got[id_].ids == answer.ids, id_
        assert (got[id_].text, got[id_].finished) == (answer.text, answer.finished), id_
    assert got["plain"].tokens == expected["plain"].tokens
    assert got["plain"].cached == 7


def _folded(generation: Generation) -> Any:
    sampling = generation.sampling
    return sampling.model_copy(update={"seed": sampling.seed % 2**63})


def test_stop_strings_are_looked_for_here(served: Served, tiny_directory: Path) -> None:
    engine = remote(tiny_directory, served[1])
    whole = answers(engine, [request("it", max_new_tokens=200, min_new_tokens=200)])["it"].text
    stop = whole[10:14]
    cut = answers(engine, [request("it", max_new_tokens=200, min_new_tokens=200, stop=(stop,))])["it"]
    assert (cut.text, cut.finished, cut.stopped_by) == (whole[: whole.index(stop)], "stop", stop)
    until(lambda: bool(served[0].cancelled))  # the server need not write on


def until(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_schema_is_kept_and_scopes_are_not_told(served: Served, tiny_directory: Path) -> None:
    server, url = served
    engine = remote(tiny_directory, url)
    asked = [
        request("ada", seed=1, constraint=JsonSchema(value=SCHEMA), max_new_tokens=200, scope="ada"),
        request("ada again", scope="ada"),
        request("nobody"),
        request("nobody else"),
    ]
    got = answers(engine, asked)
    assert set(json.loads(got["ada"].text)) == {"name", "age"}
    salts = [body["cache_salt"] for body in server.bodies[1:]]
    assert len(set(salts)) == 3  # ada's two share theirs
    # Neither the name nor what anybody could make of it: another engine has another salt for the same scope.
    again = remote(tiny_directory, url)
    answers(again, [request("ada", scope="ada")])
    assert len({body["cache_salt"] for body in server.bodies}) == 1 + 3 + 1 + 1  # each engine asks for one token first


def test_an_engine_at_the_other_end_can_be_certified(served: Served, tiny_directory: Path) -> None:
    engine = remote(tiny_directory, served[1])
    prompts, left_out = parity_prompts(load_tokenizer(tiny_directory), 300, engine.facts.window - NEW_TOKENS)
    answered = ask_all(asking_engine(engine), engine.facts, prompts, left_out)
    comparison = compare(answered, Reference(tiny_directory), None)
    assert comparison.because() == []
    assert comparison.tokens > 300


def test_text_without_token_ids_is_encoded_again(served: Served, tiny_directory: Path) -> None:
    server, url = served
    server.tells_ids = False
    engine = remote(tiny_directory, url, dialect="openai")
    assert engine.facts.path == "openai, text encoded again"
    here = TorchEngine(tiny_directory, slots=8, window=300)
    asked = request("it", min_new_tokens=0, sampling={"seed": 3}, max_new_tokens=30, alternatives=0)
    got, expected = answers(engine, [asked])["it"], answers(here, [asked])["it"]
    assert got.text == expected.text
    stop = expected.text[3:6]
    cut = answers(engine, [asked.model_copy(update={"stop": (stop,)})])["it"]
    assert cut.text == expected.text[: expected.text.index(stop)]
    assert cut.stopped_by == stop
    with pytest.raises(UserError, match="takes no top_k"):
        engine.add(request("more", min_new_tokens=0, sampling={"top_k": 3}))


@pytest.mark.parametrize("tells_ids", [True, False])
def test_scores_are_those_that_the_server_gives(served: Served, tiny_directory: Path, tells_ids: bool) -> None:
    server, url = served
    server.tells_ids = tells_ids
    engine = remote(tiny_directory, url, dialect="vllm" if tells_ids else "openai")
    for scored in (True, False):
        answer = answers(engine, [request("it", min_new_tokens=0, scored=scored)])["it"]
        assert answer.tokens
        assert all((token.log_probability is not None) == scored for token in answer.tokens)
        assert not any(token.alternatives for token in answer.tokens)


def test_an_answer_does_not_depend_on_scores_that_nobody_asked_for() -> None:
    for odd in (None, [], [-1.0], "ab", [-1.0, "x"], [-1.0, None], [-1.0, -1.0, -1.0]):
        choice = {"token_ids": [5, 6], "text": "ab", "logprobs": {"token_logprobs": odd}}
        piece = read_piece({"choices": [choice]}, None, scored=True)
        assert piece.tokens == (Chosen(id=5), Chosen(id=6))


def test_errors_before_the_first_token_are_tried_again(served: Served, tiny_directory: Path) -> None:
    server, url = served
    engine = remote(tiny_directory, url)
    for status, headers in [(500, {}), (503, {}), (429, {"Retry-After": "0.1"})]:
        server.statuses = [(status, headers)] * 2
        assert answers(engine, [request("it")])["it"].finished in ("stop", "length")
    server.statuses = [(500, {})] * 3
    engine.add(request("never"))
    last = ended(engine, "never")
    assert (last.finished, server.statuses) == ("failed", [])
    assert "status 500" in (last.error or "")


def ended(engine: RemoteEngine, id_: str) -> Any:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for emission in engine.step():
            if emission.id == id_ and emission.finished is not None:
                return emission
    raise AssertionError("it did not end")


def test_a_request_that_the_server_refuses_is_refused(served: Served, tiny_directory: Path) -> None:
    server, url = served
    engine = remote(tiny_directory, url)
    asked = len(server.bodies)
    server.statuses = [(400, {})]
    engine.add(request("wrong"))
    last = ended(engine, "wrong")
    assert (last.finished, last.error) == ("refused", "not now")
    assert len(server.bodies) == asked + 1


def test_a_server_that_dies_in_the_middle_is_not_asked_again(served: Served, tiny_directory: Path) -> None:
    server, url = served
    engine = remote(tiny_directory, url)
    server.pieces = 3
    asked = len(server.bodies)
    engine.add(request("it", max_new_tokens=50, min_new_tokens=50))
    last = ended(engine, "it")
    assert last.finished == "failed"
    assert "hung up" in (last.error or "")
    assert len(server.bodies) == asked + 1
    assert (engine.running, engine.waiting) == (0, 0)


def test_a_server_that_stalls_in_the_middle_is_given_up_and_counted(served: Served, tiny_directory: Path) -> None:
    """Not asked for the same again; whoever waits for the slot gets it, and is told at once that nobody answers."""
    server, url = served
    engine = remote(tiny_directory, url, slots=1, read_seconds=0.5, first_seconds=20, failures=1, pause_seconds=600)
    server.stalls = 3
    asked, begun = len(server.bodies), time.monotonic()
    engine.add(request("it", max_new_tokens=50, min_new_tokens=50))
    engine.add(request("next"))
    said: list[Any] = []
    while not (said and said[-1].finished):
        assert time.monotonic() - begun < 60
        said += [emission for emission in engine.step() if emission.id == "it"]
    assert sum(len(emission.tokens) for emission in said) > 0
    assert (said[-1].finished, len(server.bodies)) == ("failed", asked + 1)
    assert "nothing for too long" in (said[-1].error or "")
    assert "does not answer" in (ended(engine, "next").error or "")
    assert (engine.running, engine.waiting, len(server.bodies)) == (0, 0, asked + 1)
    assert engine.trouble == "the server that computes it does not answer"
    server.stop_hanging.set()
    engine.close()


def test_a_hanging_server_is_given_up_and_left_alone_until_it_answers(served: Served, tiny_directory: Path) -> None:
    server, url = served
    patient, soon = (remote(tiny_directory, url, attempts=1, failures=2, pause_seconds=pause) for pause in (600, 0.5))
    server.hangs = True
    for engine in (patient, soon):
        with in_a_hurry(engine):
            for name in ("first", "second"):
                engine.add(request(name))
                last = ended(engine, name)
                assert last.finished == "failed"
                assert "nothing for too long" in (last.error or "")
    asked = len(server.bodies)
    patient.add(request("third"))
    assert "does not answer" in (ended(patient, "third").error or "")
    assert len(server.bodies) == asked  # it was not even tried

    server.hangs = False
    server.stop_hanging.set()
    until(lambda: not soon.trouble)
    assert answers(soon, [request("back")])["back"].finished in ("stop", "length")
    assert patient.trouble


@contextmanager
def in_a_hurry(engine: RemoteEngine) -> Iterator[None]:
    """While the first token is not waited for long. An engine that starts waits for one, however slow the machine."""
    usual = engine._server
    engine._server = usual.model_copy(update={"first_seconds": 0.2})
    yield
    engine._server = usual


def test_a_server_is_looked_after_while_nobody_asks(
    served: Served, tiny_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_engine, "HEALTH_SECONDS", 0.05)
    server, url = served
    engine = remote(tiny_directory, url, failures=2, pause_seconds=600)
    assert engine.trouble == ""
    asked = len(server.bodies)
    server.broken = True
    looks = server.looks
    until(lambda: server.looks >= looks + 4)
    assert engine.trouble == "the server that computes it does not answer"
    engine.add(request("too early"))
    assert "does not answer" in (ended(engine, "too early").error or "")
    assert len(server.bodies) == asked  # it was not even tried

    server.broken = False
    until(lambda: not engine.trouble)
    assert answers(engine, [request("back")])["back"].finished in ("stop", "length")  # long before the pause is over

    engine.close()
    looks = server.looks
    time.sleep(0.3)
    assert server.looks <= looks + 1


def test_a_server_that_is_there_and_does_not_answer_is_not_trusted_by_its_looks(
    served: Served, tiny_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_engine, "HEALTH_SECONDS", 0.05)
    server, url = served
    engine = remote(tiny_directory, url, failures=1, attempts=1, pause_seconds=600)
    server.hangs = True
    with in_a_hurry(engine):
        engine.add(request("hangs"))
        ended(engine, "hangs")
    looks = server.looks
    until(lambda: server.looks >= looks + 4)
    assert engine.trouble
    engine.add(request("next"))
    assert "does not answer" in (ended(engine, "next").error or "")
    engine.close()


def test_cancelling_closes_the_connection_and_frees_the_slot(served: Served, tiny_directory: Path) -> None:
    server, url = served
    engine = remote(tiny_directory, url, slots=1)
    engine.add(request("left", max_new_tokens=250, min_new_tokens=250))
    engine.add(request("next"))
    assert (engine.running, engine.waiting) == (1, 1)
    until(lambda: engine.step())
    engine.cancel("left")
    assert ended(engine, "next").finished in ("stop", "length")
    until(lambda: bool(server.cancelled))
    assert (engine.running, engine.waiting) == (0, 0)


def test_the_key_comes_from_the_environment(tiny_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TorchEngine(tiny_directory, slots=8, window=300)
    with serving(engine, load_tokenizer(tiny_directory), key="of-the-server") as (_, url):
        with pytest.raises(UserError, match="status 401"):
            remote(tiny_directory, url)
        with pytest.raises(UserError, match="GPU_KEY, which should hold"):
            remote(tiny_directory, url, key_variable="GPU_KEY")
        monkeypatch.setenv("GPU_KEY", "of-the-server")
        assert answers(remote(tiny_directory, url, key_variable="GPU_KEY"), [request("it")])["it"].text


def test_a_certificate_that_nobody_vouches_for_is_refused(tiny_directory: Path, tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path / "server.pem")
    engine = TorchEngine(tiny_directory, slots=8, window=300)
    with serving(engine, load_tokenizer(tiny_directory), certificate=certificate) as (_, url):
        with pytest.raises(Failure, match="not to be trusted"):
            remote(tiny_directory, url)
        trusting = remote(tiny_directory, url, certificates=certificate)
        assert answers(trusting, [request("it")])["it"].text


def write_certificate(file: Path) -> Path:
    """A certificate for localhost that nobody signed but itself, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file


def test_a_server_that_is_not_there_or_has_another_model_is_told_of(served: Served, tiny_directory: Path) -> None:
    with pytest.raises(Failure, match="does not answer"):
        remote(tiny_directory, "http://127.0.0.1:9/v1", connect_seconds=1)
    with pytest.raises(UserError, match="no model 'other'; it has tiny"):
        RemoteEngine(tiny_directory, RemoteServer(url=served[1], model="other"))


def test_settings_that_are_wrong_are_named() -> None:
    given: dict[str, Any] = {"directory": Path(), "precision": "bf16", "slots": 2, "window": 64, "threads": 1}
    given |= {"adapters": {}, "base": ""}
    for options, said in [
        ({"url": "http://a/v1"}, "model: Field required"),
        ({"url": "ftp://a/v1", "model": "m"}, "url: .*http"),
        ({"url": "https://ada:secret@a/v1", "model": "m"}, "must not hold a user"),
        ({"url": "https://a/v1", "model": "m", "api_key": "sk-1"}, "api_key"),
    ]:
        with pytest.raises(UserError, match=said):
            engine_start("openai", options=options, **given)
    with pytest.raises(UserError, match="torch has no setting url"):
        engine_start("torch", options={"url": "http://a/v1"}, **given)


def test_a_breaker_lets_one_try_at_a_time() -> None:
    now = [0.0]
    breaker = Breaker(3, 10, lambda: now[0])
    for _ in range(2):
        breaker.failed()
    assert breaker.admit()
    breaker.succeeded()  # failures count in a row only
    for _ in range(3):
        assert breaker.admit()
        breaker.failed()
    assert not breaker.admit()
    now[0] = 9.9
    assert not breaker.admit()
    now[0] = 10.0
    assert breaker.admit()
    assert not breaker.admit()
    breaker.failed()
    assert not breaker.admit()
    now[0] = 20.0
    assert breaker.admit()
    breaker.gave_up()
    assert breaker.admit()
    breaker.answered()
    assert breaker.admit()
    assert breaker.admit()
    breaker.failed()  # it answered, and did not end well: one is enough
    assert not breaker.admit()


def test_a_prompt_of_any_tokens_is_sent_as_it_is(served: Served, tiny_directory: Path) -> None:
    server, url = served
    answers(remote(tiny_directory, url), [request("it", 33)])
    assert server.bodies[-1]["prompt"] == list(prompt(33))
    assert server.bodies[-1]["add_special_tokens"] is False
