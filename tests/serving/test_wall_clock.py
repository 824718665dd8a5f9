"""A machine that was suspended, as laptops are every night: time has passed, whatever else stood still."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loresmith.serving.traffic_sample.sampler import TrafficSample
from loresmith.serving.traffic_sample.settings import TrafficSampleSettings
from loresmith.serving.wall_clock import WallClock, elapsed

NOON = datetime(2026, 11, 6, 12, tzinfo=UTC)

needs_boot_time = pytest.mark.skipif(
    not hasattr(time, "CLOCK_BOOTTIME"), reason="this system counts no time in which it is suspended"
)


class Machine:
    """A machine that can be suspended, in seconds, and whose clock can be set."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.slept = 0.0
        self.set_by = 0.0
        real = time.clock_gettime
        patch.setattr(time, "clock_gettime", lambda clock: real(clock) + self.slept * (clock == time.CLOCK_BOOTTIME))

    def wall(self) -> float:
        return NOON.timestamp() + self.slept + self.set_by


def test_time_passes_whatever_the_system() -> None:
    before = elapsed()
    time.sleep(0.01)
    assert 0.01 <= elapsed() - before < 5


@needs_boot_time
def test_a_clock_that_is_set_back_after_a_suspend_brings_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    clock = WallClock(machine.wall)
    machine.slept = 8 * 3600
    before = clock()
    machine.set_by = -7 * 3600
    assert clock() >= before >= NOON + timedelta(hours=8)


@needs_boot_time
def test_a_suspend_is_no_jump_of_the_clock_and_old_traffic_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch)
    for day in ("2026-11-01", "2026-11-06"):
        (tmp_path / day).mkdir()
    settings = TrafficSampleSettings(enabled=False, keep_days=7)
    sample = TrafficSample(settings, tmp_path, now=lambda: datetime.fromtimestamp(machine.wall(), UTC))
    machine.slept = 3 * 86_400
    sample._flush()
    assert [day.name for day in tmp_path.iterdir()] == ["2026-11-06"]
