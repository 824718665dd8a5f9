"""`loresmith lineage`, for people and for Mermaid."""

from __future__ import annotations

import sys

from loresmith.cli.command import command
from loresmith.cli.screen import Screen, moment, print_json, short, size
from loresmith.sdk.calls.lineage import LINEAGE, LineageAnswer, LineageRequest


def _show(answer: LineageAnswer, request: LineageRequest, screen: Screen) -> None:
    if request.format == "json":
        print_json(answer)
    elif request.format == "mermaid":
        sys.stdout.write(answer.mermaid)
    else:
        _list(answer, screen)


def _list(answer: LineageAnswer, screen: Screen) -> None:
    """Every action with what went in and what came out, the first at the top."""
    lineage = answer.lineage
    kinds = {
        node.id: f"{node.kind} {short(node.id)} ({size(node.size)})" + (f", {node.mark}" if node.mark else "")
        for node in lineage.nodes
        if node.type == "asset"
    }
    made = {edge.target for edge in lineage.edges}
    for node in lineage.nodes:
        if node.type == "asset":
            if node.id not in made:
                screen.line(f"{kinds[node.id]}, added {moment(node.created_at)}")
            continue
        screen.line(f"{node.recipe}/{node.name} ({node.step}), {moment(node.finished_at)}, run {node.run}")
        for edge in lineage.edges:
            if edge.target == node.id:
                screen.line(f"    {edge.role:<12} <- {kinds[edge.source]}")
        for edge in lineage.edges:
            if edge.source == node.id:
                screen.line(f"    {edge.role:<12} -> {kinds[edge.target]}")
    for mark in lineage.releases:
        screen.line(f"{mark.name}@{mark.channel} is {kinds[mark.asset]}")


COMMANDS = {"lineage": command(LINEAGE, _show)}
