"""An engine in a process of its own, asked from an event loop.

The process may be killed at any time: who waits for an answer is told, and another is started at once. One that says
nothing for too long while it has something to do is killed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any

from loresmith.errors import Failure, LoresmithError, UserError, os_failure
from loresmith.serving.engines.generation import Emission, EngineFacts, Generation
from loresmith.serving.engines.standby import Standby, spawn
from loresmith.serving.engines.starting import EngineStart

SILENT_SECONDS = 120.0
"""How long an engine with something to do may say nothing: one step of a long prompt on a slow machine takes less."""

START_SECONDS = 600.0
_ENDING_SECONDS = 1.0
CLOSE_SECONDS = 5.0
"""How long an engine that is to end may take to do it by itself."""

_PAUSES = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Seconds before each attempt to start again; the last one is kept to."""


class EngineGone(Failure):
    """The engine stopped in the middle of an answer, or is not there."""


class EngineHost:
    """One engine's process and whoever waits for it; for one event loop.

    Args:
        start: what is started.
        say: told of starts and ends, in plain words.
        standby: asked for a process before one is started.

    Attributes:
        facts: what the engine said of itself when it was last started.
        starts: how often it was started.
        trouble: what keeps the engine from answering though its process is there; "" where nothing does.
    """

    def __init__(
        self, start: EngineStart, say: Callable[[str], None] = lambda _: None, standby: Standby | None = None
    ) -> None:
        self._start = start
        self._say = say
        self._standby = standby
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: dict[str, asyncio.Queue[Emission]] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._heard = 0.0
        self._closing = False
        self._ready = asyncio.Event()
        self.starts = 0
        self.trouble = ""
        self.facts: EngineFacts | None = None

    @property
    def ready(self) -> bool:
        """Whether it can be asked now."""
        return self._ready.is_set() and not self._closing

    @property
    def at_work(self) -> int:
        """How many wait for it."""
        return len(self._waiting)

    @property
    def process_id(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> EngineFacts:
        """Start the engine, and keep it running until `close`.

        Raises:
            UserError: it cannot be started as it was asked to.
            Failure: its process ended before it was ready.
        """
        facts = await self._launch()
        self._keeper = asyncio.create_task(self._keep(), name="engine: keep")
        return facts

    async def generate(self, generation: Generation) -> AsyncGenerator[Emission]:
        """What the engine says to a request, until it is finished. Leaving early cancels it.

        Raises:
            UserError: the request can never be carried out.
            EngineGone: the engine stopped.
        """
        if not self.ready:
            raise EngineGone("the engine is starting again", hint="come again in some seconds")
        said: asyncio.Queue[Emission] = asyncio.Queue()
        self._waiting[generation.id] = said
        finished = False
        try:
            self._send_line(f'{{"do":"add","generation":{generation.model_dump_json()}}}')
            while not finished:
                emission = await said.get()
                finished = emission.finished is not None
                if emission.finished == "refused":
                    raise UserError(emission.error or "the engine refused the request")
                if emission.finished == "failed":
                    raise EngineGone(emission.error or "the engine failed")
                yield emission
        finally:
            self._waiting.pop(generation.id, None)
            if not finished:
                self._send({"do": "cancel", "id": generation.id})

    async def close(self) -> None:
        """End the process; whoever still waits is told."""
        self._closing = True
        if self._keeper is not None:
            if self._ready.is_set():  # else it is being started again, and hears nothing
                self._send({"do": "close"})
                with suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await asyncio.shield(self._keeper)
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._ready.clear()
            self._tell_gone()
        self._kill()

    async def _launch(self) -> EngineFacts:
        try:
            async with asyncio.timeout(START_SECONDS):
                self.facts = await self._started()
        except TimeoutError:
            self._kill()
            raise Failure(f"the engine was not ready within {START_SECONDS:g} seconds") from None
        except OSError as error:
            self._kill()
            raise os_failure(error, where="the engine's process") from None
        except BaseException:
            self._kill()  # whatever it was: nobody else knows of the process
            raise
        self.starts += 1
        self._heard = time.monotonic()
        self._ready.set()
        if self._standby is not None:
            self._standby.prepare(self._start)
        return self.facts

    async def _started(self) -> EngineFacts:
        process = self._standby.take(self._start) if self._standby is not None else None
        line = b"" if process is None else await self._told_what_it_is(process)
        if process is None or not line:  # nobody was in waiting, or it is no more
            process = await spawn(self._start.threads)
            line = await self._told_what_it_is(process)
        if not line:
            status = await process.wait()
            raise Failure(f"the engine's process ended with status {status} before it was ready")
        try:
            answer = json.loads(line)
            refused = answer.get("refused")
            facts = None if refused else EngineFacts.model_validate(answer["started"])
        except (ValueError, KeyError, AttributeError):
            raise Failure("the engine's process does not say what an engine says") from None
        if facts is None:
            await process.wait()
            raise UserError(refused["what"], where=refused["where"], hint=refused["hint"])
        return facts

    async def _told_what_it_is(self, process: asyncio.subprocess.Process) -> bytes:
        self._process = process
        self._send_line(self._start.model_dump_json())
        return await self._read_line()

    async def _keep(self) -> None:
        """Hand out what is said; start again what ends, however it ends."""
        attempt = 0
        while True:
            ended = "the engine's process ended"
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - whatever it is: who waits is told, and another one is started
                ended = f"the engine's process said what cannot be read ({type(error).__name__}), and was ended"
            self._ready.clear()
            self.trouble = ""
            self._tell_gone()
            if self._closing:
                return
            self._say(f"{ended}; it is started again")
            while not self._ready.is_set() and not self._closing:
                await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
                attempt += 1
                try:
                    await self._launch()
                except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                    what = error.what if isinstance(error, LoresmithError) else repr(error)
                    self._say(f"the engine could not be started again: {what}")
            if self._ready.is_set():
                attempt = 0
                self._say("the engine is back")

    async def _listen(self) -> None:
        watch = asyncio.create_task(self._watch(), name="engine: watch")
        try:
            while line := await self._read_line():
                self._heard = time.monotonic()
                told = json.loads(line)
                self._note_trouble(told.get("trouble", self.trouble))
                for said in told.get("said", ()):
                    emission = Emission.model_validate(said)
                    queue = self._waiting.get(emission.id)
                    if queue is not None:
                        queue.put_nowait(emission)
        except BaseException:
            self._kill()  # it goes on, and nobody would listen
            raise
        finally:
            watch.cancel()
            await self._ended()

    def _note_trouble(self, trouble: str) -> None:
        if trouble != self.trouble:
            self._say(trouble or "it can be asked again")
        self.trouble = trouble

    async def _ended(self) -> None:
        """Have the process ended that says nothing more.

        It is given a moment to do so itself: a signal to one that is just ending has `subprocess` take its exit status,
        and asyncio, which waits for that too, complains of a child that nobody knows.
        """
        if self._process is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_ENDING_SECONDS):
                await self._process.wait()
        self._kill()
        await self._process.wait()

    async def _watch(self) -> None:
        """Kill a process that has something to do and says nothing."""
        while True:
            await asyncio.sleep(1)
            if not self._waiting:
                self._heard = time.monotonic()
            elif time.monotonic() - self._heard > SILENT_SECONDS:
                self._say(f"the engine said nothing for {SILENT_SECONDS:g} seconds: its process is killed")
                self._kill()
                return

    def _tell_gone(self) -> None:
        for id_, queue in self._waiting.items():
            queue.put_nowait(
                Emission(id=id_, finished="failed", error="the engine stopped in the middle of the answer")
            )

    async def _read_line(self) -> bytes:
        """The next line; none where the process ended, also in the middle of one."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        return line if line.endswith(b"\n") else b""

    def _send(self, message: dict[str, Any]) -> None:
        self._send_line(json.dumps(message, separators=(",", ":")))

    def _send_line(self, line: str) -> None:
        if self._process is None or self._process.stdin is None or self._process.stdin.is_closing():
            return
        self._process.stdin.write(line.encode() + b"\n")

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
