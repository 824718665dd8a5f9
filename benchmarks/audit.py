"""How long an answer waits for its audit record, how many can be written, and how fast they are read and proved.

    python benchmarks/audit.py [--rate N] [--seconds N] [--folder DIR] [--json]

Records as a gateway writes them, with 1 kB of encrypted content, come at a steady rate, whether or not those before
them are written (an open loop: what is late is counted as waiting). Then as many as can be from 64 callers that wait
for each, then search, verification, an export and its verification over all of them. The disk decides most of it: what
one `fdatasync` takes there is measured beside it. With --json the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from loresmith.ledger import Ledger
from loresmith.ledger.clock import timestamp
from loresmith.serving.audit.export import export, verify_export
from loresmith.serving.audit.proof import prove
from loresmith.serving.audit.record import AuditedResource, AuditRecord, Content, GuardVerdict
from loresmith.serving.audit.search import Query, find
from loresmith.serving.audit.settings import AuditSettings
from loresmith.serving.audit.tenant_keys import TenantKeys
from loresmith.serving.audit.verification import verify_records
from loresmith.serving.audit.writer import Audit

CALLERS = 64
SAID = Content(messages=({"role": "user", "content": "What does the manual say about the seal? " * 24},))


def record(number: int, phase: Any) -> AuditRecord:
    """A record with as much in it as a busy gateway's."""
    known = {"response": f"chatcmpl-{number:032x}", "phase": phase, "at": timestamp(), "tenant": f"tenant-{number % 4}"}
    decided = {
        "principal": f"user:{number % 50}",
        "release": "acme",
        "channel": "production",
        "groups": ("staff", "physicians"),
        "labels": ("clinical", "internal"),
        "credential": "k-0123456789",
        "action": "complete",
        "model": "a" * 64,
        "policy": "b" * 64,
        "resource": AuditedResource(kind="release", id="acme", labels=("clinical",)),
        "allowed": True,
        "policies": ("holds-all-labels",),
    }
    if phase == "outcome":
        verdict = GuardVerdict(
            guard="privacy", where="output", role="assistant", action="redact", rule="email", count=1
        )
        decided |= {
            "guards": (verdict,),
            "documents": tuple(f"{each:032x}" for each in range(5)),
            "prompt_tokens": 900,
            "completion_tokens": 120,
            "latency_ms": 1800,
            "status": 200,
            "bytes_scanned": 480,
            "bytes_emitted": 480,
        }
    return AuditRecord.model_validate({**known, **decided})


async def steady(audit: Audit, rate: float, seconds: float) -> dict[str, float]:
    """The waits of records that come at a rate, intents and outcomes in turn."""
    waits: list[float] = []

    async def write(number: int, due: float) -> None:
        if number % 2:
            await audit.outcome(record(number // 2, "outcome"), SAID)
        else:
            await audit.intent(record(number // 2, "intent"), SAID)
        waits.append(time.perf_counter() - due)

    await audit.intent(record(1 << 60, "intent"), SAID)
    before = audit.transactions
    loop_cpu, cpu, started = time.thread_time(), time.process_time(), time.perf_counter()
    tasks: list[asyncio.Task[None]] = []
    for number in range(round(rate * seconds)):
        due = started + number / rate
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        tasks.append(asyncio.create_task(write(number, due)))
    await asyncio.gather(*tasks)
    took = time.perf_counter() - started
    centiles = statistics.quantiles(waits, n=100)
    return {
        "records_s": len(waits) / took,
        "wait_ms_p50": centiles[49] * 1e3,
        "wait_ms_p99": centiles[98] * 1e3,
        "wait_ms_max": max(waits) * 1e3,
        "event_loop_cpu_ms_a_record": (time.thread_time() - loop_cpu) / len(waits) * 1e3,
        "cpu_ms_a_record": (time.process_time() - cpu) / len(waits) * 1e3,
        "records_a_transaction": len(waits) / (audit.transactions - before),
    }


async def flat_out(audit: Audit, seconds: float) -> dict[str, float]:
    """How many records 64 callers write that each wait for one before they write the next."""
    started = time.perf_counter()
    written = 0

    async def caller(own: int) -> None:
        nonlocal written
        number = 0
        while time.perf_counter() - started < seconds:
            await audit.intent(record(((own + 1) << 40) + number, "intent"), SAID)
            number += 1
            written += 1

    await asyncio.gather(*(caller(own) for own in range(CALLERS)))
    return {"flat_out_records_s": written / (time.perf_counter() - started)}


def timed(work: Callable[[], int]) -> float:
    """How many a second."""
    started = time.perf_counter()
    return work() / (time.perf_counter() - started)


def reading(ledger: Ledger, keys: TenantKeys, folder: Path) -> dict[str, float]:
    """How many records a second are searched, verified, exported and verified again; and what one proof takes."""
    records, file = ledger.audit_records, folder / "export.jsonl"
    condition = Query(where="'privacy' IN guards.guard AND completion_tokens > 100")
    count = sum(1 for _ in records.search())

    def search_by_condition() -> int:
        assert sum(1 for _ in find(records, condition))
        return count

    found = {
        "searched_s": timed(lambda: len(list(find(records, Query())))),
        "searched_by_condition_s": timed(search_by_condition),
        "log_leaves_verified_s": timed(lambda: ledger.log.verify().size),
        "records_verified_s": timed(lambda: verify_records(ledger, keys).records),
        "exported_s": timed(lambda: export(ledger, records.search(content=True), file).records),
        "export_verified_s": timed(lambda: verify_export(file).records),
    }
    started = time.perf_counter()
    list(prove(ledger.log, records.of(f"chatcmpl-{0:032x}"), ledger.log.head()))
    return {**found, "proof_ms": (time.perf_counter() - started) * 1e3, "leaves": ledger.log.head().size}


def disk_ms(folder: Path) -> float:
    """What one `fdatasync` after 8 kB takes there, the median of 100, in milliseconds."""
    took: list[float] = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(bytes(8192))
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - started)
    return statistics.median(took) * 1e3


def measure(folder: Path, rate: float, seconds: float) -> dict[str, float]:
    """All of it, in a new ledger in this folder."""
    database = f"sqlite:///{folder}/ledger.db"
    places: dict[str, Any] = {"blobs": folder / "blobs", "views": folder / "views", "key_file": folder / "key.pem"}
    with Ledger.open(database=database, **places, actor="benchmark", create=True) as ledger:
        keys = TenantKeys(folder / "tenant-keys", ledger.tenant_keys)

        async def write() -> dict[str, float]:
            audit = Audit(ledger, AuditSettings(), keys)
            try:
                return {**await steady(audit, rate, seconds), **await flat_out(audit, seconds / 2)}
            finally:
                audit.close()

        found = {"disk_sync_ms": disk_ms(folder), **asyncio.run(write())}
        size = (folder / "ledger.db").stat().st_size / ledger.log.head().size
        return {**found, "bytes_a_record": size, **reading(ledger, keys, folder)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=400, help="records a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--folder", type=Path, help="where the ledger is made: its disk is what is measured")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object, last")
    options = parser.parse_args(arguments)
    with TemporaryDirectory(dir=options.folder) as folder:
        found = measure(Path(folder), options.rate, options.seconds)
    for name, figure in found.items():
        print(f"{name:<28} {figure:>12,.2f}")
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
