"""A clock that is set while a gateway works: what takes its time takes that time, and what is over stays over."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.serving.gateway.engine_processes import held
from tests.serving.gateway.gateways import RunningGateway, make_key, make_workspace, write_config
from tests.serving.gateway.house import chat, wait_until
from tests.serving.gateway.records import records_of
from tests.serving.gateway.test_faults import LONG

SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long set_by(void) {
    long seconds = 0;
    FILE *file = fopen(getenv("CLOCK_SET_BY"), "r");
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    return seconds;
}

int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(which, now);
    if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) now->tv_sec += set_by();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *told) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (told) *told = exact.tv_sec;
    return exact.tv_sec;
}
"""
DAY = 86_400
LIMIT = 4.0


class Clock:
    """The clock of processes with `environment`; it can be set."""

    def __init__(self, folder: Path) -> None:
        library = folder / "clock.so"
        (folder / "clock.c").write_text(SOURCE)
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-o", str(library), str(folder / "clock.c"), "-ldl"],
            check=True,
        )
        self._by = folder / "set-by"
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_SET_BY": str(self._by)}
        self.set(0)

    def set(self, seconds: int) -> None:
        """Show so much more than is right."""
        staged = self._by.with_suffix(".new")
        staged.write_text(str(seconds))
        staged.rename(self._by)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler for a clock that can be set")
def test_a_clock_that_is_set_neither_ends_nor_prolongs_nor_revives_anything(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    workspace = tmp_path / "workspace"
    make_workspace(workspace)
    key, guest = make_key(workspace), make_key(workspace, "user:guest")
    rule = tmp_path / "until.cedar"
    rule.write_text("")
    model = {"release": "acme", "window": 4096, "slots": 4, "threads": 1, "answer_tokens": 4000}
    config = write_config(
        tmp_path,
        {
            "models": {"acme": model},
            "groups": {"admins": {"members": ["user:ada"]}},
            "policy": {"administrators": ["admins"], "files": ["until.cedar"]},
            "limits": {"request_seconds": LIMIT},
            "traffic_sample": {"enabled": True, "flush_seconds": 0.2},
        },
    )
    with (
        RunningGateway(workspace, config, environment=clock.environment) as gateway,
        gateway.client(key) as client,
        gateway.client(guest) as visitor,
    ):

        def asked() -> int:
            return int(visitor.post("/v1/chat/completions", json=chat(max_tokens=1)).status_code)

        assert asked() == 200
        # A request's time is counted from when it came, whatever is shown meanwhile.
        begun = time.monotonic()
        asked_for = {**LONG, "max_tokens": 4000}
        with ExitStack() as stack:
            said = stack.enter_context(client.stream("POST", "/v1/chat/completions", json=asked_for))
            response, events = said.headers["x-request-id"], []
            for number, line in enumerate(said.iter_lines()):
                clock.set((DAY, -DAY, 0)[number // 20 % 3])
                if number == 120:  # a fast machine would be done before its time is over
                    stack.enter_context(held(gateway))
                events += [json.loads(line[6:])] if line.startswith("data: {") else []
        took = time.monotonic() - begun
        clock.set(0)
        assert events[-1]["error"]["code"] == "timeout"
        assert LIMIT - 0.1 < took < LIMIT + 3
        outcome = records_of(workspace, response)[-1]
        assert LIMIT * 1000 - 100 < outcome.latency_ms < took * 1000 + 100
        assert 0 < outcome.first_token_ms <= outcome.latency_ms
        # Set forward it is followed, and no longer than that.
        ends = datetime.now(UTC) + timedelta(seconds=8)
        rule.write_text(
            '@id("until") forbid (principal == User::"guest", action, resource) '
            f'unless {{ context.at < datetime("{ends:%Y-%m-%dT%H:%M:%SZ}") }};'
        )
        client.post("/admin/reload").raise_for_status()
        assert asked() == 200
        clock.set(DAY)
        assert asked() == 404
        clock.set(0)
        assert asked() == 200
        # Set back it revives nothing, also where the configuration is taken anew.
        wait_until(lambda: asked() == 404, 20, 0.5)
        clock.set(-DAY)
        assert asked() == 404
        rule.write_text(rule.read_text() + "\n")
        client.post("/admin/reload").raise_for_status()
        assert asked() == 404
        assert client.post("/v1/chat/completions", json=chat(max_tokens=1)).status_code == 200
        clock.set(0)
    sampled = list((workspace / ".loresmith" / "traffic-sample").glob("*/*.parquet"))
    assert sampled
