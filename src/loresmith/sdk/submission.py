"""Plans that are for a cluster's queue, not for the process that has them."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from loresmith.errors import UserError
from loresmith.factory.compute import require_installed
from loresmith.factory.launcher import SlurmLauncher, require_started_here
from loresmith.factory.plan import Plan


def require_here(plan: Plan, folder: Path, state: Path) -> None:
    """Pass where a plan is to be carried out by this process; where it is for Slurm, write what `sbatch` takes.

    Args:
        folder: the workspace's, which the machines of a job see under the same name.
        state: where the workspace keeps what runs need.

    Raises:
        UserError: it is for a Slurm job; with the script's place, and what to do. Or what it needs is not installed.
    """
    compute = plan.compute
    require_installed(compute)
    if compute.launcher != "slurm" or "SLURM_JOB_ID" in os.environ:
        require_started_here(compute, os.environ)
        return
    place = state / "slurm" / f"{plan.recipe}-{plan.digest[:12]}"
    place.mkdir(parents=True, exist_ok=True)
    written, script = place / "plan.json", place / "run.sbatch"
    written.write_text(plan.model_dump_json(indent=2) + "\n", encoding="utf-8")
    SlurmLauncher(compute).write_script(plan.recipe, written, folder, script)
    raise UserError(
        f"this plan is for a Slurm job of {compute.nodes} nodes; its script is written to {script}",
        hint=f"`sbatch {shlex.quote(str(script))}` submits it, and again to go on when its time was up; "
        "all nodes need this folder under the same name",
    )
