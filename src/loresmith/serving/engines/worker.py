"""The process of one engine: `python -m loresmith.serving.engines.worker`.

Lines of JSON come in and go out. The first line in is an `EngineStart`; the first one out says what started, or why
nothing did. Then requests come in and emissions go out, those of one step in one line; and what is amiss, where an
engine depends on somebody else. What an engine's libraries print goes to standard error. Without anybody at the other
end the process ends.

With `--libraries` it loads what the engine `torch` needs while it waits for the first line (`Standby`).
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from typing import Any, TextIO

from loresmith.errors import LoresmithError
from loresmith.parent_process import die_with
from loresmith.serving.engines.engine import Engine
from loresmith.serving.engines.generation import Emission, Generation
from loresmith.serving.engines.starting import EngineStart, make_engine

GONE: dict[str, Any] = {"do": "close"}

LOOK_SECONDS = 0.5
"""Between two looks at what is amiss."""


def main() -> int:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    die_with(os.getppid())
    if "--libraries" in sys.argv[1:]:
        load_libraries()
    start = EngineStart.model_validate_json(sys.stdin.readline())
    try:
        engine = make_engine(start)
    except LoresmithError as error:
        _say(out, {"refused": {"what": error.what, "where": error.where, "hint": error.hint}})
        return error.exit_status
    _say(out, {"started": engine.facts.model_dump(mode="json")})
    commands: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read, args=(commands,), daemon=True).start()
    if hasattr(engine, "trouble"):
        threading.Thread(target=_look_after, args=(engine, commands), daemon=True).start()
    _work(engine, commands, out)
    # Threads of the libraries may hang at the interpreter's end; there is nothing left to save.
    out.flush()
    os._exit(0)


def load_libraries() -> None:
    """All that `start_torch` imports, also what transformers imports when something of it is first asked for."""
    import loresmith.models.generate
    import loresmith.serving.engines.embedded.torch_engine  # noqa: F401
    from loresmith.models.offline import transformers

    # What nearly all families share comes with any one of them, and is most of it.
    for name in ("AutoModelForCausalLM", "AutoTokenizer", "PreTrainedTokenizerFast", "LlamaForCausalLM"):
        getattr(transformers, name)


def _work(engine: Engine, commands: queue.Queue[dict[str, Any]], out: TextIO) -> None:
    while True:
        busy = bool(engine.running or engine.waiting)
        while not busy or not commands.empty():
            command = commands.get()
            if command["do"] == "close":
                engine.close()
                return
            _obey(engine, command, out)
            busy = bool(engine.running or engine.waiting)
        emissions = engine.step()
        if emissions:
            lines = ",".join(emission.model_dump_json(exclude_defaults=True) for emission in emissions)
            out.write(f'{{"said":[{lines}]}}\n')


def _obey(engine: Engine, command: dict[str, Any], out: TextIO) -> None:
    if command["do"] == "cancel":
        engine.cancel(command["id"])
        return
    if command["do"] == "tell":
        _say(out, {"trouble": command["trouble"]})
        return
    try:
        engine.add(Generation.model_validate(command["generation"]))
    except Exception as error:  # noqa: BLE001 - whatever it is: it is this request's alone, and others are answered
        why = str(error)
        if not isinstance(error, LoresmithError):
            traceback.print_tb(error.__traceback__)  # without what the request said
            why = f"the engine cannot carry this request out ({type(error).__name__})"
        refused = Emission(id=command["generation"]["id"], finished="refused", error=why)
        _say(out, {"said": [refused.model_dump(mode="json", exclude_defaults=True)]})


def _read(commands: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        commands.put(json.loads(line))
    commands.put(GONE)


def _look_after(engine: Any, commands: queue.Queue[dict[str, Any]]) -> None:
    told = ""
    while True:
        if (trouble := engine.trouble) != told:
            commands.put({"do": "tell", "trouble": trouble})
            told = trouble
        time.sleep(LOOK_SECONDS)


def _say(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    sys.exit(main())
