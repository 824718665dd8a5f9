"""How the processes of one step are started: on this machine, or on those of a Slurm job.

Both start them with torchrun, which tells each its number, ends all with SIGTERM when one of them dies, and passes a
request to stop on to all: ASKED_TO_STOP, another signal, so that they can tell a request, which leaves them time, from
the death of one that they would wait for in vain. Ray is none of them: it carries out stages over documents.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from loresmith.errors import UserError
from loresmith.factory.compute import Compute

ASKED_TO_STOP = signal.SIGUSR1
"""By which the processes of a step are asked to stop at a safe point."""

SECONDS_BEFORE_THE_END = 120
"""How long before its time is up a Slurm job is asked to stop."""

SECONDS_TO_END = 20
"""What is kept of them for ending what has not stopped by then, and for writing that down."""

SECONDS_ALONE = 20
"""What is left to a process when another one of the step has died: usually it fails at once, in whatever it was waiting
for; where it goes on to wait, it is ended."""

FIRST_PORT, PORTS = 20_000, 20_000
"""Where the processes of a Slurm job meet: a port by the job's number, so that two jobs on a machine do not."""


class Launcher(Protocol):
    """A way to start the processes of a step."""

    def command(self, request: Path, events: Path) -> list[str]:
        """The command that starts them all and ends when they have ended.

        Args:
            request: the file that says what to do, which all processes read.
            events: the named pipe that they write their events to.
        """


class LocalLauncher:
    """Starts so many processes on this machine."""

    def __init__(self, processes: int) -> None:
        self.processes = processes

    def command(self, request: Path, events: Path) -> list[str]:
        return [
            *(sys.executable, "-m", "loresmith.factory.torchrun", str(os.getpid()), str(events)),
            *("--standalone", f"--nproc-per-node={self.processes}"),
            *_torchrun_options(request, events, Compute()),
        ]


class SlurmLauncher:
    """Starts so many processes on each machine of the Slurm job that this process belongs to, or writes such a job."""

    def __init__(self, compute: Compute) -> None:
        self.compute = compute

    def command(self, request: Path, events: Path) -> list[str]:
        nodes = self.compute.nodes
        port = FIRST_PORT + int(os.environ["SLURM_JOB_ID"]) % PORTS
        torchrun = [
            *(sys.executable, "-m", "loresmith.factory.torchrun", "0", str(events)),
            *(f"--nnodes={nodes}", f"--nproc-per-node={self.compute.processes}"),
            # The job's script runs on its first machine, which is where the first process has to be: it has the pipe.
            *(f"--master-addr={socket.gethostname()}", f"--master-port={port}", "--node-rank=$SLURM_NODEID"),
            *_torchrun_options(request, events, self.compute),
        ]
        return [
            *("srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=1"),
            *("bash", "-c", "exec " + " ".join(map(_quoted_but_for_variables, torchrun))),
        ]

    def write_script(self, name: str, plan: Path, workspace: Path, script: Path) -> None:
        """Write what `sbatch` takes.

        Args:
            name: of the job.
            plan: the plan that the job carries out.
            workspace: its folder, which every machine of the job sees under the same name.
            script: where it goes.
        """
        compute = self.compute
        options: dict[str, str | int] = {
            "job-name": name,
            "nodes": compute.nodes,
            "ntasks-per-node": 1,
            "output": str(script.with_suffix(".log")),
            "open-mode": "append",
            # Asked in time, it stops at a safe point.
            "signal": f"B:TERM@{SECONDS_BEFORE_THE_END}",
        }
        if compute.threads is not None:
            options["cpus-per-task"] = compute.threads
        loresmith = shutil.which("loresmith", path=str(Path(sys.executable).parent)) or "loresmith"
        lines = [
            "#!/bin/bash",
            *(f"#SBATCH --{option}={value}" for option, value in {**options, **compute.slurm}.items()),
            "",
            "# Submit it again to go on from where it stopped: what is finished is not done again.",
            "set -euo pipefail",
            f"cd {shlex.quote(str(workspace))}",
            f"exec {shlex.quote(loresmith)} run {shlex.quote(str(plan))}",
            "",
        ]
        script.write_text("\n".join(lines), encoding="utf-8")


def launcher_of(compute: Compute) -> Launcher:
    """The launcher that a recipe asks for."""
    return SlurmLauncher(compute) if compute.launcher == "slurm" else LocalLauncher(compute.processes)


def seconds_to_stop(compute: Compute) -> float:
    """What a step has to reach a safe point in after SIGTERM, before it is ended.

    It is what a job scheduler leaves, but for the end: of Slurm two minutes, or what the recipe's `signal` option says.
    Others, and people, are taken to be as patient.
    """
    asked = re.search(r"@(\d+)$", str(compute.slurm.get("signal", "")))
    before = float(asked[1]) if asked is not None else SECONDS_BEFORE_THE_END
    return max(before - SECONDS_TO_END, before / 2)


def require_started_here(compute: Compute, environment: Mapping[str, str]) -> None:
    """Raise UserError where a plan is for a Slurm job, and this process belongs to none, or to one of another size."""
    if compute.launcher != "slurm":
        return
    found = environment.get("SLURM_JOB_NUM_NODES", "0")
    if "SLURM_JOB_ID" not in environment:
        raise UserError("this plan is for a Slurm job, and this is none", hint="submit the script that was written")
    if int(found) != compute.nodes:
        raise UserError(
            f"this Slurm job has {found} nodes, and the plan is for {compute.nodes}",
            hint="submit the script that was written, or change compute.nodes",
        )


def _torchrun_options(request: Path, events: Path, compute: Compute) -> list[str]:
    # Whoever asks ends them before that; this is for those that nobody is left to end.
    patience = round(seconds_to_stop(compute) + SECONDS_TO_END)
    return [
        *("--max-restarts=0", f"--signals-to-handle=SIGTERM,{ASKED_TO_STOP.name}", f"--shutdown-timeout={patience}"),
        *("--module", "loresmith.factory.rank", str(request), str(events)),
    ]


def _quoted_but_for_variables(word: str) -> str:
    return f'"{word}"' if "$" in word else shlex.quote(word)
