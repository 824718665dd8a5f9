"""Files are read in processes: what one of them does to its reader is no harm to the others, nor to the step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from loresmith.data.readers.record import ReadingRules, Record, Refused
from loresmith.data.reading.extraction import Extraction
from loresmith.data.reading.limits import Limits
from loresmith.data.reading.memory import READER_PACKAGES, Known, KnownFiles
from loresmith.data.reading.pool import OFFLINE, ReadingPool, _ending
from loresmith.data.reading.sources import LocalFile
from loresmith.data.reading.units import _made
from loresmith.data.scan import Entry

MEMORY = 64 << 20


class Patient(Limits):
    """Limits for a machine that is busy with others as well."""

    by_the_clock = 300.0

    @property
    def clock_seconds(self) -> float:
        return self.by_the_clock


@contextmanager
def pool_in(folder: Path, workers: int = 1, limits: Limits = Limits()) -> Iterator[ReadingPool]:  # noqa: B008
    spool = folder / "spool"
    spool.mkdir()
    with ReadingPool(workers, ReadingRules(), limits, spool) as pool:
        yield pool


def give(pool: ReadingPool, path: Path, content: str) -> int:
    path.write_text(content)
    return pool.submit(path, path.name, path.stat().st_size)


def only(extraction: Extraction) -> Record | Refused:
    (found,) = extraction.records()
    return found


def workers_of_this_process() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # of tests before this one, and at its end
            if "loresmith.data.reading.worker" in child.cmdline():
                found.append(child)
    return found


def page(paragraphs: int) -> str:
    """A page that takes its reader a while."""
    return "".join(f"<p>{n}<b>{n}</b>" for n in range(paragraphs))


def busy(pool: ReadingPool, path: Path) -> int:
    """Have a worker read something that takes it a while, and wait until it is at it."""
    number = give(pool, path, page(900_000))
    (worker,) = workers_of_this_process()
    while worker.cpu_times().user < 0.6:
        time.sleep(0.05)
    return number


def test_files_are_read_and_answers_wait_for_whoever_asks(tmp_path: Path) -> None:
    with pool_in(tmp_path, workers=2) as pool:
        numbers = [give(pool, tmp_path / f"{n}.txt", f"text {n}") for n in range(20)]
        said = [only(pool.result(number)) for number in reversed(numbers)]
    assert [found.text for found in said if isinstance(found, Record)] == [f"text {n}" for n in reversed(range(20))]
    assert workers_of_this_process() == []


def test_a_file_that_crashes_its_reader_is_refused_and_the_next_is_read(tmp_path: Path) -> None:
    with pool_in(tmp_path) as pool:
        number = busy(pool, tmp_path / "bad.html")
        workers_of_this_process()[0].send_signal(signal.SIGSEGV)
        following = give(pool, tmp_path / "good.txt", "good")
        found = only(pool.result(number))
        assert isinstance(found, Refused)
        assert (found.reason, found.detail) == ("crashed the reader", "SIGSEGV")
        assert found.bytes == (tmp_path / "bad.html").stat().st_size
        assert isinstance(only(pool.result(following)), Record)


def test_what_died_after_other_files_is_tried_once_more_since_they_may_be_to_blame(tmp_path: Path) -> None:
    with pool_in(tmp_path) as pool:
        assert isinstance(only(pool.result(give(pool, tmp_path / "before.txt", "before"))), Record)
        number = busy(pool, tmp_path / "innocent.html")
        workers_of_this_process()[0].kill()
        assert isinstance(only(pool.result(number)), Record)


def test_a_file_over_which_a_reader_hangs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pool_in(tmp_path, limits=Patient()) as pool:
        assert isinstance(only(pool.result(give(pool, tmp_path / "before.txt", "before"))), Record)
        workers_of_this_process()[0].send_signal(signal.SIGSTOP)
        with monkeypatch.context() as patched:
            patched.setattr(Patient, "by_the_clock", 4.0)
            found = pool.result(give(pool, tmp_path / "hangs.html", page(1000)))
        assert not found.lasting, "another time it may be read"
        refused = only(found)
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.detail) == ("took too long", "no answer within 4 s")
        assert isinstance(only(pool.result(give(pool, tmp_path / "good.txt", "good"))), Record)


def test_a_file_that_keeps_the_processor_busy_too_long_is_refused(tmp_path: Path) -> None:
    with pool_in(tmp_path, limits=Patient(seconds=0.9)) as pool:
        refused = only(pool.result(give(pool, tmp_path / "slow.html", page(4_000_000))))
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.detail) == ("took too long", "0.9 s of the processor's time")


def test_a_file_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    with pool_in(tmp_path, limits=Limits(memory_bytes=MEMORY)) as pool:
        rows = "".join(json.dumps({"text": f"{n} " * 100}) + "\n" for n in range(150_000))
        found = pool.result(give(pool, tmp_path / "large.jsonl", rows))
        refused = only(found)
        assert isinstance(refused, Refused)
        assert refused.reason == "needed too much memory"
        assert not found.lasting
        assert isinstance(only(pool.result(give(pool, tmp_path / "good.txt", "good"))), Record)


def test_whoever_waits_can_leave_and_no_worker_stays_behind(tmp_path: Path) -> None:
    class LeavingError(Exception):
        pass

    def leave() -> None:
        raise LeavingError

    with pytest.raises(LeavingError), pool_in(tmp_path) as pool:
        pool.result(busy(pool, tmp_path / "long.html"), leave)
    assert workers_of_this_process() == []


PARENT = """
import sys, time
from pathlib import Path
from tests.data.test_reading_pool import busy, pool_in, workers_of_this_process
with pool_in(Path(sys.argv[1])) as pool:
    busy(pool, Path(sys.argv[1]) / "long.html")
    print(workers_of_this_process()[0].pid, flush=True)
    time.sleep(60)
"""


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    worker.suspend()  # over a file that it would never be done with
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    with suppress(psutil.NoSuchProcess):
        while worker.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "the worker lives on"
            time.sleep(0.05)


def test_a_request_to_end_does_not_end_a_reader_and_no_file_is_blamed_for_a_signal_from_elsewhere(
    tmp_path: Path,
) -> None:
    with pool_in(tmp_path) as pool:
        first = give(pool, tmp_path / "first.txt", "one\n")
        assert isinstance(only(pool.result(first)), Record)
        (reader,) = workers_of_this_process()
        for asked in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            reader.send_signal(asked)
        second = give(pool, tmp_path / "second.txt", "two\n")
        assert isinstance(only(pool.result(second)), Record)
        assert reader.is_running()
    assert not _ending(-signal.SIGTERM, 1, Limits()).lasting
    assert _ending(-signal.SIGSEGV, 1, Limits()).lasting


def test_a_file_that_goes_between_two_looks_is_read_to_be_told_so(tmp_path: Path) -> None:
    class Remembers(KnownFiles):
        def look(self, location: str, max_bytes: int) -> Known | None:
            return Known.of(b"as it was")

    with Remembers(None) as known:
        assert LocalFile(Entry("a.txt", str(tmp_path / "a.txt"))).known(known, 100) is None


def test_a_name_that_is_a_file_and_a_folder_is_refused_not_fatal(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("a file")
    assert not _made(tmp_path / "notes")
    assert not _made(tmp_path / "notes" / "deeper")
    assert _made(tmp_path / "others" / "deeper")


def test_what_is_remembered_depends_on_every_library_that_reads() -> None:
    from importlib.metadata import version

    assert all(version(package) for package in READER_PACKAGES)
    assert {"pdf-oxide", "pypdfium2", "chardet", "jinja2", "pyarrow"} <= set(READER_PACKAGES)


def test_readers_are_told_to_stay_offline_in_the_words_of_the_hub() -> None:
    ask = "from huggingface_hub import constants; print(constants.HF_HUB_OFFLINE)"
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_OFFLINE")}
    told = subprocess.run([sys.executable, "-c", ask], env={**environment, **OFFLINE}, capture_output=True, check=True)
    assert told.stdout == b"True\n"
