"""Whether an engine can prepare for the form of an answer, tried where it does no harm: `python -m` this module.

llguidance bounds most of what it does to prepare for a grammar, and not all. For multiples of a large number and for
many expressions at once it takes minutes and gigabytes, and a long chain of rules overflows its stack: in the engine's
process, where everybody's answers wait. So what could be of that kind is first prepared for in a process that has
little time, memory and stack.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import resource
import signal
import sys
from collections import OrderedDict

from loresmith.errors import UserError
from loresmith.serving.engines.generation import Constraint
from loresmith.serving.engines.grammar import grammar_of

SECONDS = 0.5
"""Of a processor: for so long an engine's other answers may have to wait."""

MEMORY_BYTES = 1 << 30
STACK_BYTES = 4 << 20
"""Half of what an engine's process usually has."""

PLAIN_CHARACTERS = 10_000
"""What is longer is tried, whatever stands in it."""

_AT_ONCE = 2
_REMEMBERED = 1000

_SUSPECT = re.compile(r"pattern|format|Length|multipleOf|[&~]|\\u", re.IGNORECASE)
"""Words of schemas that make for expressions of many states, or for several that are held against each other; letters
by which grammars do, and an escape in which such a word could hide."""


class GrammarTrials:
    """Tries what the engines of one gateway are asked for; for one event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._sound: OrderedDict[bytes, None] = OrderedDict()

    async def require_preparable(self, constraint: Constraint) -> None:
        """See that an engine can prepare for it in reasonable time.

        Raises:
            UserError: it cannot, or the constraint cannot be read.
        """
        grammar = await asyncio.to_thread(_to_try, constraint)
        if grammar is None:
            return
        known = hashlib.sha256(grammar).digest()
        if known in self._sound:
            self._sound.move_to_end(known)
            return
        async with self._turn:
            if await _tried(grammar) != 0:
                raise UserError(
                    f"this {constraint.kind.replace('_', ' ')} takes too long to prepare for",
                    hint="leave out multiples of large numbers, several expressions for one text, long chains of rules",
                )
        self._sound[known] = None
        if len(self._sound) > _REMEMBERED:
            self._sound.popitem(last=False)


def _to_try(constraint: Constraint) -> bytes | None:
    """The grammar of what is to be tried; None where it is certain to be no trouble."""
    grammar = grammar_of(constraint)
    plain = constraint.kind != "grammar" and len(grammar) <= PLAIN_CHARACTERS and not _SUSPECT.search(grammar)
    return None if plain else grammar.encode()


async def _tried(grammar: bytes) -> int:
    """The exit status of a process that prepares for it."""
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=nowhere, stderr=nowhere
    )
    try:
        await process.communicate(grammar)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode


def main() -> None:
    """Prepare for the grammar that comes in. What is wrong with it is for the engine to say."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, STACK_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from llguidance import LLMatcher, LLTokenizer

    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # then SIGPROF ends the process, whatever it is at
    matcher = LLMatcher(LLTokenizer("byte", slices=[]), sys.stdin.buffer.read().decode(), log_level=0)
    if not matcher.is_error():
        matcher.compute_bitmask()


if __name__ == "__main__":
    main()
