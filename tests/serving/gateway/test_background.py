"""Work that nobody waits for: what goes wrong there is told, and ends nothing."""

from __future__ import annotations

import errno
import logging
import os
from contextlib import suppress

import pytest

from loresmith.errors import UserError
from loresmith.serving.gateway.background import as_failure, speaking, tell


def test_work_goes_on_when_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    file = os.fdopen(writing, "w")
    say = speaking(lambda text: print(text, file=file, flush=True))
    say("on a pipe without a reader")
    with suppress(BrokenPipeError):
        file.close()
    say("in a file that is closed")
    assert [record.args[0] for record in caplog.records if record.args] == [
        "on a pipe without a reader",
        "in a file that is closed",
    ]


def test_whatever_goes_wrong_is_told_in_plain_words(caplog: pytest.LogCaptureFixture) -> None:
    known = UserError("there is no such release")
    assert as_failure(known) is known
    assert as_failure(OSError(errno.EMFILE, "Too many open files")).what == "too many open files"
    with caplog.at_level(logging.ERROR):
        said: list[str] = []
        tell(said.append, "no release", known)
        assert (said, caplog.records) == (["no release"], [])
        unforeseen = as_failure(KeyError("x"))
        assert "KeyError: 'x'" in unforeseen.what
        tell(said.append, "broken", unforeseen)
    assert said[-1] == "broken"
    assert caplog.records[-1].exc_info is not None  # what nobody thought of can be found out
