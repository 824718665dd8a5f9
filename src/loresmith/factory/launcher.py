"""How the processes of one step are started: on this machine, or on those of a Slurm job.

Both start them with torchrun, which tells each its number, ends all when one of them dies, and passes a request to stop
on to all. Ray would be a third class here.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from loresmith.errors import UserError
from loresmith.factory.compute import Compute

SECONDS_TO_STOP = 20
"""What a process has to reach a safe point in when it is to stop, before it is ended."""

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
            *(sys.executable, "-m", "loresmith.factory.torchrun", str(os.getpid())),
            *("--standalone", f"--nproc-per-node={self.processes}"),
            *_torchrun_options(request, events),
        ]


class SlurmLauncher:
    """Starts so many processes on each machine of the Slurm job that this process belongs to, or writes such a job."""

    def __init__(self, compute: Compute) -> None:
        self.compute = compute

    def command(self, request: Path, events: Path) -> list[str]:
        nodes = self.compute.nodes
        port = FIRST_PORT + int(os.environ["SLURM_JOB_ID"]) % PORTS
        torchrun = [
            *(sys.executable, "-m", "loresmith.factory.torchrun", "0"),
            *(f"--nnodes={nodes}", f"--nproc-per-node={self.compute.processes}"),
            # The job's script runs on its first machine, which is where the first process has to be: it has the pipe.
            *(f"--master-addr={socket.gethostname()}", f"--master-port={port}", "--node-rank=$SLURM_NODEID"),
            *_torchrun_options(request, events),
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
            # Two minutes before its time is up, the job is asked to stop; it does so at a safe point.
            "signal": "B:TERM@120",
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


def _torchrun_options(request: Path, events: Path) -> list[str]:
    return [
        *("--max-restarts=0", "--signals-to-handle=SIGTERM", f"--shutdown-timeout={SECONDS_TO_STOP}"),
        *("--module", "loresmith.factory.rank", str(request), str(events)),
    ]


def _quoted_but_for_variables(word: str) -> str:
    return f'"{word}"' if "$" in word else shlex.quote(word)
