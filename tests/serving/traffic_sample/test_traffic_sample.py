"""A sample of traffic is fair, small, without what was said, and the same however many gateways drew it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith import Workspace
from loresmith.errors import Failure
from loresmith.ledger import Ledger
from loresmith.ledger.clock import timestamp
from loresmith.serving.traffic_sample import sampler
from loresmith.serving.traffic_sample.features import features, language_of, perplexity
from loresmith.serving.traffic_sample.reading import TRAFFIC, read_sample
from loresmith.serving.traffic_sample.reservoir import Stratum, priority_of
from loresmith.serving.traffic_sample.sampler import TrafficSample
from loresmith.serving.traffic_sample.settings import TrafficSampleSettings
from loresmith.serving.traffic_sample.traffic import Traffic
from tests.cli.conftest import CommandLine
from tests.ledger.conftest import empty_file  # noqa: F401 - a fixture
from tests.serving.audit.conftest import ledger, place  # noqa: F401 - fixtures
from tests.serving.audit.places import keys_of
from tests.serving.gateway.house import wait_until

GERMAN = "Welche Dichtung gehört an die Pumpe, und wie oft muss sie gewechselt werden?"
ENGLISH = "The seal of the pump is changed once a year, and the bearing every other year."


def traffic(number: int = 0, **facts: Any) -> Traffic:
    """A question in German, answered in English."""
    usual: dict[str, Any] = {
        "response": f"r-{number}",
        "at": "2026-11-22T14:05:00.000000Z",
        "release": "acme@production",
        "model": "a" * 64,
        "tenant": "ward",
        "outcome": "answered",
        "messages": [{"role": "user", "content": GERMAN}],
        "answer": ENGLISH,
        "labels": ["clinical"],
    }
    return Traffic(**{**usual, **facts})


def draw(
    folder: Path, offered: Sequence[Traffic], keys: Any = None, embedder: Any = None, **said: Any
) -> TrafficSample:
    sample = TrafficSample(TrafficSampleSettings(**said), folder, keys, embedder)
    for each in offered:
        sample.offer(each)
    sample.close()
    return sample


def test_features_say_what_a_request_was_like() -> None:
    row = features(
        traffic(prompt_tokens=20, answer_tokens=3, log_probabilities=[-1.0, -3.0], guard_hits=["b:x", "a:y", "b:x"]), 64
    )
    assert (row["prompt_language"], row["answer_language"]) == ("de", "en")
    assert (row["prompt_characters"], row["answer_characters"]) == (len(GERMAN), len(ENGLISH))
    assert (row["prompt_tokens"], row["answer_tokens"], row["messages"]) == (20, 3, 1)
    assert row["perplexity"] == pytest.approx(math.exp(2.0))
    assert row["guard_hits"] == ["a:y", "b:x"]
    assert row["token_source"] == "words"
    assert sum(row["prompt_counts"]) == len(GERMAN.split())
    assert all(0 <= bucket < 64 for bucket in row["prompt_buckets"] + row["answer_buckets"])
    assert row["embedding"] is None
    assert not row["refusal"]


def test_tokens_are_counted_where_the_engine_tells_them() -> None:
    row = features(traffic(prompt_ids=[5, 5, 9], answer_ids=range(3000)), 256)
    assert row["token_source"] == "tokens"
    assert sorted(row["prompt_counts"]) == [1, 2]
    assert sum(row["answer_counts"]) == 3000
    assert max(row["answer_counts"]) < 25  # neighbouring ids are spread evenly


def test_a_text_in_parts_an_odd_message_and_nothing_at_all_have_features() -> None:
    parts = [{"type": "text", "text": GERMAN}, {"type": "image_url", "image_url": {"url": "x"}}, "odd"]
    row = features(traffic(messages=[{"role": "user", "content": parts}, {"role": "assistant", "content": None}]), 64)
    assert row["prompt_language"] == "de"
    row = features(traffic(messages=[], answer=""), 64)
    assert (row["prompt_characters"], row["prompt_language"], row["perplexity"]) == (0, "", None)
    assert features(traffic(answer="\ud800 x"), 64)["answer_characters"] == 3


@pytest.mark.parametrize("answer", ["I'm sorry, but no.", "I\u2019m sorry", "I cannot help", "Es tut mir leid, nein."])
def test_refusals_are_known_by_how_they_begin(answer: str) -> None:
    assert features(traffic(answer=answer), 64)["refusal"]
    assert features(traffic(outcome="refused"), 64)["refusal"]


def test_a_perplexity_is_a_number_or_nothing() -> None:
    assert perplexity([]) is None
    assert perplexity([-1.0, float("-inf")]) is None
    assert perplexity([-1e6]) == math.exp(700)
    assert language_of("x = 1") == ""


@settings(deadline=None)
@given(st.lists(st.text(max_size=8), unique=True, max_size=60), st.integers(1, 10), st.integers(1, 3))
def test_what_several_draw_holds_what_one_would_have_drawn(names: list[str], size: int, gateways: int) -> None:
    alone = Stratum(size)
    for name in names:
        alone.admit(priority_of(name))
    kept = set(sorted(map(priority_of, names))[:size])
    assert {-each for each in alone._kept} == kept
    together = [Stratum(size) for _ in range(gateways)]
    for number, name in enumerate(names):
        together[number % gateways].admit(priority_of(name))
    assert kept <= {-each for stratum in together for each in stratum._kept}
    assert sum(stratum.seen for stratum in together) == alone.seen == len(names)


def test_each_stratum_is_bounded_and_what_is_rare_is_kept(tmp_path: Path) -> None:
    offered = [traffic(number) for number in range(500)]
    offered += [traffic(1000 + number, outcome="refused") for number in range(3)]
    offered += [traffic(2000 + number, at=f"2026-11-22T15:{number:02d}:00.000000Z") for number in range(30)]
    draw(tmp_path, offered, per_stratum=20)
    rows = list(read_sample(tmp_path))
    assert Counter((row["hour"], row["outcome"], row["seen"]) for row in rows) == {
        ("2026-11-22T14", "answered", 500): 20,
        ("2026-11-22T14", "refused", 3): 3,
        ("2026-11-22T15", "answered", 30): 20,
    }


def test_the_sample_is_not_the_first_nor_the_last_but_any(tmp_path: Path) -> None:
    draw(tmp_path, [traffic(number) for number in range(2000)], per_stratum=200)
    numbers = sorted(int(row["response"][2:]) for row in read_sample(tmp_path))
    assert len(numbers) == 200
    assert 800 < sum(numbers) / 200 < 1200
    assert numbers[0] < 100
    assert numbers[-1] > 1900


def test_two_gateways_draw_together_what_one_would_have_drawn_up_to_a_bound(tmp_path: Path) -> None:
    offered = [traffic(number) for number in range(300)]
    draw(tmp_path / "one", offered, per_stratum=40)
    draw(tmp_path / "two", offered[::2], per_stratum=40)
    draw(tmp_path / "two", offered[1::2], per_stratum=40)
    one, two = (list(read_sample(tmp_path / name)) for name in ("one", "two"))
    assert [row["response"] for row in two[:40]] == [row["response"] for row in one]
    assert {row["seen"] for row in one} == {row["seen"] for row in two} == {300}
    everybody = sorted(priority_of(each.response) for each in offered)
    assert [row["priority"] for row in two] == everybody[: len(two)]


def test_nothing_that_was_said_is_in_the_files(tmp_path: Path) -> None:
    draw(tmp_path, [traffic(1, consent=True)])
    for file in tmp_path.rglob("*.parquet"):
        text = str(pq.read_table(file).to_pylist())
        assert not [word for word in (GERMAN + ENGLISH).split() if len(word) > 3 and word in text]


def test_content_is_kept_only_as_settings_and_consent_say_and_encrypted(
    tmp_path: Path,
    ledger: Ledger,  # noqa: F811
) -> None:
    for rule, kept in (("never", set()), ("with-consent", {"r-1"}), ("always", {"r-1", "r-2"})):
        folder = tmp_path / rule
        keys = keys_of(ledger, tmp_path)
        draw(
            folder, [traffic(1, consent=True), traffic(2), traffic(3, consent=True, admitted=False)], keys, content=rule
        )
        rows = {row["response"]: row["content"] for row in read_sample(folder)}
        assert {response for response, sealed in rows.items() if sealed is not None} == kept
        for response in kept:
            assert GERMAN.encode() not in rows[response]
            assert GERMAN in keys.open(rows[response], response, "sample").decode()
    keys.destroy("ward", "they left")
    with pytest.raises(Failure, match="destroyed"):
        keys.open(rows["r-1"], "r-1", "sample")


def test_vectors_are_kept_where_settings_want_them_and_are_of_the_last_question(tmp_path: Path) -> None:
    class Lengths:
        def embed(self, texts: Sequence[str]) -> Any:
            return np.array([[len(text), 1] for text in texts], np.float32)

    talk = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "?"},
        {"role": "user", "content": GERMAN},
    ]
    draw(tmp_path / "without", [traffic(messages=talk)], None, Lengths())
    draw(tmp_path / "with", [traffic(messages=talk)], None, Lengths(), embeddings=True)
    assert [row["embedding"] for row in read_sample(tmp_path / "without")] == [None]
    assert [row["embedding"] for row in read_sample(tmp_path / "with")] == [[len(GERMAN), 1.0]]


def test_an_embedder_in_trouble_costs_its_request_and_no_other(tmp_path: Path) -> None:
    class Fails:
        def embed(self, texts: Sequence[str]) -> Any:
            if texts[0] == "bad":
                raise RuntimeError("out of memory")
            return np.zeros((len(texts), 2), np.float32)

    bad = traffic(1, messages=[{"role": "user", "content": "bad"}])
    sample = draw(tmp_path, [bad, traffic(2)], None, Fails(), embeddings=True)
    assert [row["response"] for row in read_sample(tmp_path)] == ["r-2"]
    assert sample.lost == 1


def test_old_days_go_and_the_oldest_when_all_are_too_large(tmp_path: Path) -> None:
    for day in ("2020-01-01", "2020-01-02"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "00-x.parquet").write_bytes(bytes(100))
    draw(tmp_path, [traffic()], keep_days=36500 // 10)
    assert len(list(tmp_path.iterdir())) == 3
    (tmp_path / "2020-01-01" / "00-x.parquet").write_bytes(bytes(1 << 16))
    draw(tmp_path, [traffic()], keep_days=3650, max_bytes=1 << 16)
    assert {day.name for day in tmp_path.iterdir()} == {"2020-01-02", "2026-11-22"}
    draw(tmp_path, [traffic()])
    assert {day.name for day in tmp_path.iterdir()} == {"2026-11-22"}


def test_it_is_written_while_the_gateway_is_at_work_and_never_holds_it_up(tmp_path: Path) -> None:
    sample = TrafficSample(TrafficSampleSettings(flush_seconds=0.1), tmp_path)
    started = time.thread_time()
    now = timestamp()
    for number in range(2000):
        sample.offer(traffic(number, at=now))
    assert time.thread_time() - started < 1
    for _ in range(600):
        if list(read_sample(tmp_path)):
            break
        time.sleep(0.05)
    assert list(read_sample(tmp_path))
    sample.close()
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


def test_what_comes_late_of_an_hour_that_is_over_takes_nothing_away(tmp_path: Path) -> None:
    sample = TrafficSample(TrafficSampleSettings(flush_seconds=0.05), tmp_path)
    for number in range(3):
        sample.offer(traffic(number))
        time.sleep(0.3)
    sample.close()
    assert {(row["response"], row["seen"]) for row in read_sample(tmp_path)} == {
        (f"r-{number}", 3) for number in range(3)
    }


def test_a_folder_that_cannot_be_written_is_said_and_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    sample = draw(tmp_path / "file", [traffic()])
    assert "file" in sample.trouble


def test_nothing_is_kept_where_settings_say_so(tmp_path: Path) -> None:
    draw(tmp_path / "sample", [traffic()], enabled=False)
    assert not (tmp_path / "sample").exists()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    draw(tmp_path, [traffic()])
    (file,) = tmp_path.rglob("*.parquet")
    file.write_bytes(b"damaged")
    with pytest.raises(Failure, match="cannot be read"):
        list(read_sample(tmp_path))


class Calendar:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


def flushed(folder: Path, response: str) -> bool:
    return any(row["response"] == response for row in read_sample(folder))


@settings(deadline=None, max_examples=10)
@given(jumps=st.lists(st.integers(-100_000, 100_000), min_size=1, max_size=8))
def test_jumps_of_the_clock_lose_nothing_and_count_nothing_twice(jumps: list[int]) -> None:
    """By hours, back and forth, each after what came before has been written; what lies on the disk stays there."""
    with TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "2026-11-01").mkdir()
        clock = Calendar()
        sample = TrafficSample(TrafficSampleSettings(flush_seconds=0.01), folder, now=clock)
        offered = []
        for jump in [0, *jumps, 0, 0]:
            clock.time = datetime(2026, 11, 22, 14, 5, tzinfo=UTC) + timedelta(hours=jump)
            for outcome in ("answered", "failed"):
                at = clock.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                offered.append(traffic(len(offered), at=at, outcome=outcome))
                sample.offer(offered[-1])
            wait_until(lambda: flushed(folder, offered[-1].response), pause=0.005)
        sample.close()
        assert (sample.lost, sample.trouble) == (0, "")
        rows = list(read_sample(folder))
        assert sorted(row["response"] for row in rows) == sorted(each.response for each in offered)
        strata = Counter((each.hour, each.outcome) for each in offered)
        assert {(row["hour"], row["outcome"]): row["seen"] for row in rows} == strata
        assert (folder / "2026-11-01").is_dir()


@pytest.mark.parametrize("over", [False, True], ids=["going on", "over"])
def test_what_is_not_drawn_is_counted_to_the_end(tmp_path: Path, over: bool) -> None:
    """Also where nothing is drawn any more after the last time that the hour was written."""
    offered = sorted((traffic(number) for number in range(50)), key=lambda each: priority_of(each.response))
    clock = Calendar()
    clock.time += timedelta(hours=3 * over)
    sample = TrafficSample(TrafficSampleSettings(per_stratum=5, flush_seconds=0.01), tmp_path, now=clock)
    for each in offered[:5]:
        sample.offer(each)
    wait_until(lambda: flushed(tmp_path, offered[4].response))
    for each in offered[5:]:
        sample.offer(each)
    sample.close()
    assert {row["seen"] for row in read_sample(tmp_path)} == {50}


def test_it_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    """Each file is replaced as a whole: whoever reads one meets the old one or the new one, never parts of both."""
    language_of(GERMAN)  # languages take a while to load
    sample = TrafficSample(TrafficSampleSettings(flush_seconds=0.001, per_stratum=1000), tmp_path)
    now = timestamp()
    found = [0]
    deadline = time.monotonic() + 60
    while len(set(found)) < 30 and time.monotonic() < deadline:
        sample.offer(traffic(len(found), at=now, answer_ids=range(len(found))))
        time.sleep(0.001)
        found.append(len(list(read_sample(tmp_path))))
    sample.close()
    assert found == sorted(found)
    assert len(set(found)) == 30


def sampled_workspace(folder: Path) -> None:
    """A workspace whose gateway has sampled a week, with what was said."""
    with Workspace.init(folder) as workspace:
        keys = keys_of(workspace.ledger, workspace.place.state)
        offered = [
            traffic(1),
            traffic(2, release="other@production", labels=["internal"]),
            traffic(3, outcome="failed"),
        ]
        draw(workspace.place.state / "traffic-sample", offered, keys, content="always")


def test_a_sample_becomes_a_dataset_that_carries_the_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sampled_workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    cli = CommandLine(tmp_path, capsys)
    answer = cli("traffic", "sample", "--json").json
    assert (answer["rows"], answer["requests"], answer["strata"]) == (3, 3, 3)
    assert answer["labels"] == ["clinical", "internal"]
    one = cli("traffic", "sample", "--release", "acme", "--since", "2026-11-22", "--until", "2026-11-23", "--json").json
    assert (one["rows"], one["labels"]) == (2, ["clinical"])
    assert cli("traffic", "sample", "--since", "2027-01-01").status == 2
    assert cli("traffic", "sample", "--content").status == 2
    said = cli("traffic", "sample", "--content", "--because", "a drift report", "--json").json
    with Workspace.open(tmp_path) as workspace:
        plain, clear = (
            pq.read_table(workspace.ledger.assets.directory(each["digest"]) / TRAFFIC).to_pylist()
            for each in (answer, said)
        )
        assert workspace.ledger.assets.get(answer["digest"]).kind == "dataset"
        notes = workspace.ledger.log.payloads(range(workspace.ledger.log.head().size)).values()
    assert "content" not in plain[0]
    assert GERMAN not in str(plain)
    assert clear[0]["answer"] == ENGLISH
    assert GERMAN in clear[0]["conversation"]
    assert sum("because a drift report" in note for note in notes) == 1


def test_what_is_on_its_way_while_an_hour_is_written_is_counted_once(tmp_path: Path) -> None:
    sample = TrafficSample(TrafficSampleSettings(flush_seconds=0.01), tmp_path)
    for number in range(90):  # the first takes long, since the languages are loaded for it
        sample.offer(traffic(number))
        time.sleep(0.002)
    sample.close()
    rows = list(read_sample(tmp_path))
    assert {row["seen"] for row in rows} == {90}


def test_hours_that_are_over_leave_nothing_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither they nor what came late of them; a gateway works for years."""
    clock = Calendar()
    monkeypatch.setattr(sampler, "elapsed", lambda: clock.time.timestamp())  # no jumps
    sample = TrafficSample(TrafficSampleSettings(flush_seconds=0.01, keep_days=7), tmp_path, now=clock)
    for number in range(80):
        sample.offer(traffic(number, at=clock.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")))
        clock.time += timedelta(hours=3)
        time.sleep(0.01)
    sample.offer(traffic(80, at=clock.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")))

    def held() -> int:
        clock.time += timedelta(hours=8)
        return sum(len(each) for each in vars(sample).values() if isinstance(each, dict | set))

    wait_until(lambda: held() <= 8)  # the last day is kept, with the numbers of its hours' next files
    sample.close()
    assert sample.lost == 0


def test_a_row_that_cannot_be_written_is_lost_and_harms_no_others(tmp_path: Path) -> None:
    within = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
    sample = TrafficSample(TrafficSampleSettings(flush_seconds=0.01), tmp_path, now=lambda: within)
    sample.offer(traffic(1, latency_ms=2**80))
    wait_until(lambda: sample.lost)
    for number in range(2, 5):  # of the same hour
        sample.offer(traffic(number))
        wait_until(lambda number=number: flushed(tmp_path, f"r-{number}"))
    sample.close()
    assert (sample.lost, sample.trouble) == (1, "")
    assert {row["seen"] for row in read_sample(tmp_path)} == {4}
