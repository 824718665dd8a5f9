"""Steps over small texts, and two that are slow or go wrong on purpose."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from loresmith.errors import UserError
from loresmith.factory.step import Check, Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext
from loresmith.ledger.books import Account, Books, Entry


def _books(kept: int, dropped: int = 0) -> Books:
    left = (
        Entry(disposition="kept", reason="", count=kept),
        Entry(disposition="dropped", reason="asked", count=dropped),
    )
    return Books(accounts=(Account(unit="bytes", entered=kept + dropped, left=left),))


class WriteText(StepConfig):
    """Settings of `write-text`."""

    text: str = Field(description="What to write.")
    times: int = Field(default=1, ge=1, le=1000, description="How many times.")
    labels: tuple[str, ...] = Field(default=(), description="Access labels of the text.")


def _write_text(context: StepContext, config: WriteText, inputs: Mapping[str, InputAsset]) -> Result:
    folder = context.output("text")
    data = (config.text * config.times).encode()
    (folder / "text.txt").write_bytes(data)
    context.metric("bytes", len(data), 1)
    return Result(outputs={"text": Made(folder, labels=config.labels)}, books=_books(len(data)))


class ReadText(StepConfig):
    """Settings of `read-text`."""

    path: Path = Field(description="The file to read.", json_schema_extra={"location": True})


def _fingerprint(config: ReadText) -> str:
    try:
        return hashlib.sha256(config.path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {config.path}: {error.strerror}") from None


def _read_text(context: StepContext, config: ReadText, inputs: Mapping[str, InputAsset]) -> Result:
    folder = context.output("text")
    data = config.path.read_bytes()
    (folder / "text.txt").write_bytes(data)
    return Result(outputs={"text": Made(folder)}, books=_books(len(data)))


class JoinText(StepConfig):
    """Settings of `join-text`."""

    between: str = Field(default=" ", description="What stands between the texts.")


def _join_text(context: StepContext, config: JoinText, inputs: Mapping[str, InputAsset]) -> Result:
    texts = [(inputs[role].directory / "text.txt").read_text() for role in ("first", "second") if role in inputs]
    folder = context.output("text")
    data = config.between.join(texts).encode()
    (folder / "text.txt").write_bytes(data)
    check = Check(output="text", kind="word-count", passed=True, evidence={"words": len(data.split())})
    return Result(
        outputs={"text": Made(folder, metadata={"words": len(data.split())})},
        books=_books(len(data)),
        checks=(check,),
    )


class CountSlowly(StepConfig):
    """Settings of `count-slowly`."""

    to: int = Field(default=20, ge=1, description="How far to count.")
    pause: float = Field(default=0.05, ge=0, description="Seconds between numbers.")


def _count_slowly(context: StepContext, config: CountSlowly, inputs: Mapping[str, InputAsset]) -> Result:
    state = context.work / "state.json"
    done, total = json.loads(state.read_text()) if state.exists() else (0, 0)
    context.log(f"counting on from {done}")
    while done < config.to:
        if context.stop_requested():
            context.stopped()
        done += 1
        total += done
        draft = state.with_suffix(".new")
        draft.write_text(json.dumps([done, total]))
        draft.replace(state)
        context.metric("total", total, done)
        context.progress(done, config.to, "numbers", total=total)
        time.sleep(config.pause)
    context.checkpoint(context.work, done)
    folder = context.output("count")
    (folder / "report.json").write_text(json.dumps({"total": total}))
    return Result(outputs={"count": Made(folder, metadata={"total": total})}, books=_books(config.to))


class Recite(StepConfig):
    """Settings of `recite`: none. What it reads from outside is not named by a path."""


def _words_outside(_config: Recite) -> str:
    return hashlib.sha256(os.environ.get("WORDS", "").encode()).hexdigest()


def _recite(context: StepContext, _config: Recite, _inputs: Mapping[str, InputAsset]) -> Result:
    folder = context.output("text")
    (folder / "text.txt").write_text(os.environ.get("WORDS", ""))
    return Result(outputs={"text": Made(folder)})


class Waver(StepConfig):
    """Settings of `waver`."""

    by: Literal["time", "variable", "threads", "refusal", "choice"] = Field(
        description="What makes it differ from one run to the next."
    )
    since: int = Field(default=3, ge=1, le=5, description="The first of its five numbers that it decides.")


def _waver(context: StepContext, config: Waver, inputs: Mapping[str, InputAsset]) -> Result:
    """The variable is one that numerical libraries read, so that it is on record."""
    by: dict[str, Callable[[], object]] = {
        "time": time.time_ns,
        "variable": lambda: os.environ.get("MKL_CBWR"),
        "threads": lambda: context.threads,
        "refusal": lambda: None,
        "choice": lambda: _choice(context.work),
    }
    if config.by == "refusal" and "MKL_CBWR" in os.environ:
        raise UserError("not with MKL_CBWR")
    what = by[config.by]()
    wobble = int(hashlib.sha256(repr(what).encode()).hexdigest()[:6], 16) / 2**24
    total = 0.0
    for position in range(1, 6):
        loss = 1 / position + (wobble if position >= config.since else 0)
        total += loss
        context.metric("loss", loss, position)
        context.metric("words_per_second", time.monotonic(), position)
    folder = context.output("text")
    (folder / "always.txt").write_text("the same in every run")
    (folder / "text.txt").write_text(f"sum {total!r}")
    side = context.output("report")
    (side / "report.json").write_text(json.dumps({"at": time.time_ns()}))
    return Result(outputs={"text": Made(folder, metadata={"total": total}), "report": Made(side)})


def _choice(work: Path) -> str:
    """What the clock says, unless it has been asked before."""
    kept = work / "choices" / "pace.txt"
    if not kept.exists():
        kept.parent.mkdir()
        kept.write_text(f"{time.time_ns()}\n")
    return kept.read_text()


class Misbehave(StepConfig):
    """Settings of `misbehave`."""

    how: Literal[
        "raise",
        "user-error",
        "kill",
        "crash",
        "unbalanced",
        "exit",
        "hang",
        "orphan",
        "full-disk",
        "no-output",
        "abort-after-work",
        "fail-check",
    ] = Field(description="In which way.")


def _misbehave(context: StepContext, config: Misbehave, inputs: Mapping[str, InputAsset]) -> Result:
    folder = context.output("text")
    (folder / "text.txt").write_text("made before it went wrong")
    match config.how:
        case "raise":
            raise ZeroDivisionError("one divided by nothing")
        case "user-error":
            raise UserError("record 7 has no text", where="files.jsonl:7", hint="remove it")
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "orphan":
            if os.fork() == 0:
                time.sleep(30)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
        case "unbalanced":
            account = Account(unit="documents", entered=3, left=(Entry(disposition="kept", reason="", count=2),))
            return Result(outputs={"text": Made(folder)}, books=Books(accounts=(account,)))
        case "exit":
            print("a native library says goodbye", flush=True)
            os._exit(3)
        case "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(3600)
        case "full-disk":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "text.txt"))
        case "no-output":
            return Result(outputs={})
        case "fail-check":
            check = Check(output="text", kind="word-count", passed=False, evidence={"words": 5})
            return Result(outputs={"text": Made(folder)}, checks=(check,))
        case "abort-after-work":
            import atexit

            atexit.register(os.abort)
    return Result(outputs={"text": Made(folder)})


WRITE_TEXT = Step(
    name="write-text",
    version=1,
    summary="Write a text.",
    config=WriteText,
    inputs={},
    outputs={"text": Output("corpus", "the text")},
    run=_write_text,
)
READ_TEXT = Step(
    name="read-text",
    version=1,
    summary="Read a text file.",
    config=ReadText,
    inputs={},
    outputs={"text": Output("corpus", "the text")},
    run=_read_text,
    fingerprint=_fingerprint,
)
JOIN_TEXT = Step(
    name="join-text",
    version=1,
    summary="Join one or two texts.",
    config=JoinText,
    inputs={"first": Input("corpus", "the first text"), "second": Input("corpus", "the second text", optional=True)},
    outputs={"text": Output("corpus", "both texts")},
    run=_join_text,
)
COUNT_SLOWLY = Step(
    name="count-slowly",
    version=1,
    summary="Count, with a state that survives interruption.",
    config=CountSlowly,
    inputs={"after": Input("corpus", "a text to wait for", optional=True)},
    outputs={"count": Output("report", "the sum")},
    run=_count_slowly,
    workload=lambda config: float(config.to),
)
RECITE = Step(
    name="recite",
    version=1,
    summary="Write the words of an environment variable.",
    config=Recite,
    inputs={},
    outputs={"text": Output("corpus", "the words")},
    run=_recite,
    fingerprint=_words_outside,
)
WAVER = Step(
    name="waver",
    version=1,
    summary="Make something else in every run, or under other conditions.",
    config=Waver,
    inputs={"after": Input("corpus", "a text to wait for", optional=True)},
    outputs={"text": Output("corpus", "five numbers, summed"), "report": Output("report", "the time")},
    run=_waver,
)
MISBEHAVE = Step(
    name="misbehave",
    version=1,
    summary="Go wrong.",
    config=Misbehave,
    inputs={},
    outputs={"text": Output("corpus", "nothing of use")},
    run=_misbehave,
)
