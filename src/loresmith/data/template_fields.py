"""Which fields a template of records wants of a table."""

from __future__ import annotations

from collections.abc import Set

from jinja2 import meta, nodes


def needed_fields(tree: nodes.Template, known: Set[str] | None = None) -> frozenset[str]:
    """The fields without which a template cannot be applied.

    Those for whose absence it provides (`x is defined`, `x | default(...)`) are none of them. What stands behind
    `{% if x is defined %}` is looked at only for tables that have an x, so that one template can serve several tables.

    Args:
        tree: the template as parsed; branches that no record of the table takes are cut out of it.
        known: the fields of a table; None: of which nothing is known.
    """
    if known is not None:
        _cut_branches(tree, known, meta.find_undeclared_variables(tree))
    return frozenset(meta.find_undeclared_variables(tree) - _provided_for(tree))


def _provided_for(tree: nodes.Template) -> set[str]:
    asked = [node.node for node in tree.find_all(nodes.Test) if node.name in ("defined", "undefined")]
    asked += [node.node for node in tree.find_all(nodes.Filter) if node.name in ("d", "default") and node.node]
    return {node.name for node in asked if isinstance(node, nodes.Name)}


def _cut_branches(node: nodes.Node, known: Set[str], fields: Set[str]) -> None:
    for name, value in node.iter_fields():
        if isinstance(value, list):
            kept: list[nodes.Node] = []
            for one in value:
                kept += _taken(one, known, fields) if isinstance(one, nodes.If) and name != "elif_" else [one]
            setattr(node, name, kept)
    for child in node.iter_child_nodes():
        _cut_branches(child, known, fields)


def _taken(choice: nodes.If, known: Set[str], fields: Set[str]) -> list[nodes.Node]:
    """What is left of a choice: the branches that a record may take."""
    branches: list[nodes.If] = []
    otherwise = choice.else_
    for branch in (choice, *choice.elif_):
        truth = _truth(branch.test, known, fields)
        if truth:
            otherwise = branch.body
            break
        if truth is None:
            branches.append(branch)
    if not branches:
        # The branch itself may begin with another choice.
        left: list[nodes.Node] = []
        for one in otherwise:
            left += _taken(one, known, fields) if isinstance(one, nodes.If) else [one]
        return left
    first, *more = (nodes.If(each.test, each.body, [], [], lineno=each.lineno) for each in branches)
    first.elif_, first.else_ = more, otherwise
    return [first]


def _truth(test: nodes.Node, known: Set[str], fields: Set[str]) -> bool | None:
    """Whether a test holds for every record of a table; None: that depends on the record."""
    if isinstance(test, nodes.Test) and isinstance(test.node, nodes.Name) and test.node.name in fields:
        if test.name in ("defined", "undefined"):
            return (test.node.name in known) == (test.name == "defined")
    elif isinstance(test, nodes.Not):
        truth = _truth(test.node, known, fields)
        return None if truth is None else not truth
    elif isinstance(test, nodes.And | nodes.Or):
        sides = {_truth(test.left, known, fields), _truth(test.right, known, fields)}
        decisive = isinstance(test, nodes.Or)  # one true side decides an `or`, one false side an `and`
        return decisive if decisive in sides else (None if None in sides else not decisive)
    return None
