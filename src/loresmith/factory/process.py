"""A step's process, as the factory sees it: started, listened to, asked to stop, and ended if it does not."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from loresmith.errors import Failure, Interrupted, LoresmithError, UserError
from loresmith.factory.compute import Compute
from loresmith.factory.death import ending, likely_cause, was_killed
from loresmith.factory.events import EventReader, now
from loresmith.factory.step import InputAsset
from loresmith.factory.step_memory import StepMemory
from loresmith.factory.stopping import StopRequest


def step_request(
    name: str,
    step: str,
    config: Mapping[str, Any],
    seed: int,
    threads: int,
    work: Path,
    inputs: Mapping[str, InputAsset],
    compute: Compute,
    caches: Path,
    blobs: Path | None = None,
    erased: Collection[str] = (),
) -> dict[str, Any]:
    """What a worker is told: which step, under which name, with what, and where it works.

    Args:
        caches: the folder with the caches of all steps.
        blobs: where the workspace's blobs lie, if that is a folder of this machine.
        erased: what the step has to leave out.
    """
    return {
        "name": name,
        "step": step,
        "config": dict(config),
        "seed": seed,
        "threads": threads,
        "compute": compute.model_dump(mode="json"),
        "action": str(work),
        "cache": str(caches / step),
        "blobs": str(blobs) if blobs is not None else None,
        "erased": sorted(erased),
        "inputs": {
            role: {
                "digest": asset.digest,
                "kind": asset.kind,
                "directory": str(asset.directory),
                "metadata": dict(asset.metadata),
                "labels": list(asset.labels),
            }
            for role, asset in inputs.items()
        },
        "parent": os.getpid(),
    }


class StepProcess:
    """One worker process: `follow` it to its end, or iterate over its `events` and read its `status`."""

    def __init__(self, request: dict[str, Any], request_path: Path, log_path: Path) -> None:
        """Start the worker.

        Args:
            request: what the worker is to do; written to `request_path`.
            log_path: where its standard output and error go.
        """
        request_path.write_text(json.dumps(request), encoding="utf-8")
        self._read_end, write_end = os.pipe()
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "loresmith.factory.worker", str(request_path), str(write_end)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[write_end],
                env=_quiet_environment(request["threads"]),
            )
        os.close(write_end)
        os.set_blocking(self._read_end, False)
        self._was_asked = False
        self._was_ended = False
        self.log_path = log_path

    @property
    def pid(self) -> int:
        return self._process.pid

    def events(self, tick: float = 0.5) -> Iterator[dict[str, Any] | None]:
        """The worker's events as they come, and None at least every `tick` seconds; ends with the process."""
        reader = EventReader()
        with selectors.DefaultSelector() as selector:
            selector.register(self._read_end, selectors.EVENT_READ)
            while True:
                has_ended = self._process.poll() is not None  # before the look: what it says last is there by then
                if selector.select(timeout=0 if has_ended else tick):
                    data = os.read(self._read_end, 1 << 16)
                    if not data:
                        break
                    yield from reader.feed(data)
                elif has_ended:
                    break  # all is read, and the pipe is open still: the process left a child behind that holds it
                yield None
        self._process.wait()

    def follow(
        self, name: str, stop: StopRequest, tick: Callable[[], None], take: Callable[[Mapping[str, Any]], None]
    ) -> dict[str, Any]:
        """Follow the step to its end; returns the event with which it finished.

        Its `peak_bytes` are those of all the step's processes on this machine, as far as they were seen.

        Args:
            name: the step's, for messages.
            stop: once it is set, the step is asked to stop, and ended when the time for that is up.
            tick: called at least twice a second.
            take: called with every event but those that end the step.

        Raises:
            UserError, Failure: it refused, failed or crashed.
            Interrupted: it stopped because it was asked to, was ended because it did not, or was killed by others.
        """
        ends: dict[str, dict[str, Any]] = {}
        memory = StepMemory(self.pid)
        for event in self.events():
            if stop:
                self._stop(stop, take)
            tick()
            memory.look()
            if event is None:
                continue
            if event["event"] in ("finished", "failed", "stopped", "killed"):
                ends[event["event"]] = event
            else:
                take(event)
        if "finished" in ends:  # an abort while the interpreter goes down does not undo finished work
            finished = ends["finished"]
            return {**finished, "peak_bytes": max(finished["peak_bytes"], memory.peak)}
        if "stopped" in ends:
            stop.ask()
            stop.check()
        raise self._reason(name, stop, ends)

    def _stop(self, stop: StopRequest, take: Callable[[Mapping[str, Any]], None]) -> None:
        """Ask for a stop at the next safe point; end the process if there is no more waiting for that."""
        if not self._was_asked:
            self._was_asked = True
            self._process.send_signal(signal.SIGTERM)
            take({"event": "stopping", "at": now(), "seconds": stop.seconds})
        if stop.is_over and not self._was_ended:
            self._was_ended = True
            self._process.kill()

    def _reason(self, name: str, stop: StopRequest, ends: Mapping[str, Mapping[str, Any]]) -> LoresmithError:
        """Why there is no result, and what that means for the run.

        Args:
            ends: what the process said of its end, by the kind of event.
        """
        failed, killed = ends.get("failed"), ends.get("killed")
        where, log = f"step {name!r}", f"its log: {self.log_path}"
        if stop:
            if self._was_ended:
                because = "" if stop.insisted else f" within {stop.seconds:g} s"
                what = f"the step was ended, having reached no safe point{because}"
            elif failed is not None:
                what = f"asked to stop, the step failed: {failed['what']}"
            else:
                what = "asked to stop, the step ended before it reached a safe point"
            kept = "what was finished is kept, and the step goes on from what it last saved"
            return Interrupted(f"{what}; {kept}", where=where, hint=stop.go_on)
        if failed is not None:
            kind = UserError if failed["status"] == UserError.exit_status else Failure
            hint = failed["hint"] if failed["hint"] != "see the log" else log
            return kind(failed["what"], where=failed["where"] or where, hint=hint)
        what = killed["what"] if killed is not None else self._cause_of_death()
        if killed is not None or was_killed(self.status):
            return Interrupted(what, where=where, hint=f"{stop.go_on}; {log}")
        return Failure(what, where=where, hint=log)

    def close(self) -> None:
        """End the process if it is still there, and free what it held."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._read_end)

    @property
    def status(self) -> int:
        """Exit status; negative for the signal that ended it."""
        return self._process.wait()

    def _cause_of_death(self) -> str:
        """One line on why the process ended without saying so itself."""
        return f"the step's process {ending(self.status)}{likely_cause(self.status)}{self._last_words()}"

    def _last_words(self) -> str:
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - 4096))
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
        return f" (last line of its log: {lines[-1][:200]})" if lines else ""


def _quiet_environment(threads: int) -> dict[str, str]:
    """The worker's environment: as many threads as allowed, no telemetry, no hub."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        # Threads that spin for long while they wait take the time of the one they wait for, as soon as anything else
        # wants a core; threads that never spin lose a quarter on an idle machine (benchmarks/waiting_threads.py).
        "GOMP_SPINCOUNT": "1000",
        "RAYON_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
    }
