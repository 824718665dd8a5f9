"""`loresmith inspect`, for people: conversations in colours, or with brackets where there are none."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.screen import Screen, visible
from loresmith.sdk.calls.inspect import INSPECT, InspectAnswer, InspectedRecord, InspectRequest

_LEARNT = "bold green"
_SHOWN = "dim"
_OPEN, _CLOSE = "⟦", "⟧"


def _show(answer: InspectAnswer, _request: InspectRequest, screen: Screen) -> None:
    colours = screen.console.color_system is not None and not screen.console.no_color
    for record in answer.records:
        share = record.learnt / len(record.ids) if record.ids else 0
        screen.line(
            f"record {record.number} of {answer.in_all}, {record.where}, {record.split}: {len(record.ids)} tokens, "
            f"{record.learnt} learnt ({share:.0%})",
            style="bold",
        )
        _conversation(record, screen, colours)
    if colours:
        from rich.text import Text

        legend = Text("what is learnt", style=_LEARNT)
        screen.console.print(legend.append("  what is only shown", style=_SHOWN))
    else:
        screen.line(f"what is learnt stands in {_OPEN}brackets{_CLOSE}")
    if answer.token_count:
        screen.line(
            f"{answer.learnt_count:,} of {answer.token_count:,} tokens shown here are learnt "
            f"({answer.learnt_count / answer.token_count:.0%})"
        )


def _conversation(record: InspectedRecord, screen: Screen, colours: bool) -> None:
    if not colours:
        marked = (f"{_OPEN}{visible(p.text)}{_CLOSE}" if p.learnt else visible(p.text) for p in record.pieces)
        screen.line("".join(marked))
        return
    from rich.text import Text

    text = Text()
    for piece in record.pieces:
        text.append(visible(piece.text), style=_LEARNT if piece.learnt else _SHOWN)
    screen.console.print(text, soft_wrap=True)


COMMANDS = {"inspect": command(INSPECT, _show)}
