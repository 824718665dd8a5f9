"""The command line: `loresmith`. One thin file a noun; what each command takes and does is declared in sdk/calls."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress

import click

from loresmith import __version__
from loresmith.cli.groups import Entry, LazyGroup
from loresmith.errors import Interrupted, LoresmithError, UserError, os_failure

ENTRIES = {
    "init": Entry("workspace", "Make a workspace in a folder, with a starter recipe that runs."),
    "plan": Entry("recipes", "Show what a recipe would do: what is cached, what is to do, and what it will take."),
    "run": Entry("recipes", "Carry out a recipe or a plan; finished steps are never done again."),
    "runs": Entry("runs", "Runs: list, show, watch."),
    "summary": Entry(
        "summary", "Show one page on a run: what went in and out, the curve, the scores, what to do next."
    ),
    "assets": Entry("assets", "Assets: list, show, verify, import, export."),
    "data": Entry("data", "Data: look at documents before and after they are curated."),
    "books": Entry("books", "Print a run's books: every record and token that went in, and where it went."),
    "trace": Entry("books", "Follow something through all runs."),
    "lineage": Entry("lineage", "Show how an asset came to be, from files to release."),
    "reproduce": Entry(
        "reproduce", "Run a model's lineage again from its sources, and say whether the same comes of it, bit for bit."
    ),
    "releases": Entry("releases", "Releases: list, promote, roll back, show their history."),
    "models": Entry(
        "architectures", "Models: list named sizes, say what a recipe's would cost, certify an engine for one."
    ),
    "inspect": Entry(
        "inspect",
        "Show conversations of a dataset as a model sees them: what it learns to write, and what it is only shown.",
    ),
    "complete": Entry("models", "Have a released model go on from a text."),
    "fill": Entry("fill", "Have a released model fill the gaps of a text, knowing both sides of each."),
    "chat": Entry("models", "Talk with a released model, here or through a gateway."),
    "serve": Entry(
        "serve",
        "Serve released models to applications, in OpenAI's protocol, under policy, quotas, guards and audit.",
    ),
    "index": Entry("index", "Indexes of passages: build one of a corpus, look for passages."),
    "keys": Entry("keys", "API keys of the gateway's callers: create, list, revoke, rotate."),
    "policy": Entry("policy", "The gateway's policy: check it, explain a decision, replay the audit."),
    "guards": Entry("guards", "Guards: try them on a text, teach one a topic."),
    "ledger": Entry("ledger", "The ledger's log: verify, prove."),
    "audit": Entry("audit", "The gateway's audit: search, export, verify, prove, erase."),
    "traffic": Entry("traffic", "The endpoint's traffic: make a dataset of the sample that is kept of it."),
    "feedback": Entry("feedback", "Feedback on answers: make a dataset to learn from of it."),
    "steps": Entry("steps", "List the installed steps, or document one: inputs, outputs and settings."),
    "doctor": Entry(
        "workspace", "Check the machine and the workspace: packages, space, database, blobs, log, telemetry."
    ),
}


def _note_json(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    ctx.meta["loresmith.json"] = asked


def _print_version(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    as_json = ctx.meta["loresmith.json"]
    if asked:
        click.echo(json.dumps({"version": __version__}) if as_json else f"loresmith {__version__}")
        ctx.exit()
    if as_json:  # elsewhere it belongs to a command, and stands behind it
        raise click.NoSuchOption("--json", ctx=ctx)


LORESMITH = LazyGroup(
    ENTRIES,
    name="loresmith",
    help="A self-hosted model factory: from your own files to a language model that you own, with books that balance.",
    epilog="Every command has --help and --json. Exit status: 0 fine, 1 failure, 2 wrong request, 130 interrupted.",
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
)
LORESMITH.params += [
    click.Option(
        ["--json"],
        is_flag=True,
        is_eager=True,  # noted before the version is printed, wherever it stands
        expose_value=False,
        help="With --version: print one JSON object.",
        callback=_note_json,
    ),
    click.Option(["--version"], is_flag=True, expose_value=False, help="Print the version.", callback=_print_version),
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0: fine. 1: the request was sound and the work failed, or a check found damage. 2: the request cannot be carried
    out as it was made. 130: interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not os.environ.get("LORESMITH_DEBUG") and not sys.warnoptions:
        warnings.simplefilter("ignore")
    try:
        status = _status(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. What is still in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _status(arguments: list[str]) -> int:
    try:
        _require_text(arguments)
        answer = LORESMITH.main(arguments, prog_name="loresmith", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        return 2
    except BrokenPipeError:
        raise
    except (KeyboardInterrupt, click.Abort):
        # Ctrl-C went to whoever reads our output, too.
        with suppress(OSError):
            return _refuse(Interrupted("interrupted"), arguments)
        return Interrupted.exit_status
    except Exception as error:  # noqa: BLE001 - the last place before a person would see a traceback
        return _refuse(error, arguments)
    return answer if isinstance(answer, int) else 0


def _require_text(arguments: Sequence[str]) -> None:
    """Raise UserError for what is not UTF-8: it could not be written down, in the ledger or anywhere else."""
    variables = {f"the variable {name}": value for name, value in os.environ.items() if name.startswith("LORESMITH_")}
    for called, text in {**{f"argument {n}": given for n, given in enumerate(arguments, 1)}, **variables}.items():
        try:
            text.encode()
        except UnicodeEncodeError:
            shown = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
            raise UserError(
                f"{called} is not UTF-8: {shown}",
                hint="a path that `loresmith` wrote down has `\\xff` for such a byte: give it as it is written there",
            ) from None


def _refuse(error: Exception, arguments: list[str]) -> int:
    from loresmith.cli.refusal import defect, refuse, usage_error

    if isinstance(error, click.ClickException):
        said = usage_error(error)
    elif isinstance(error, LoresmithError):
        said = error
    elif isinstance(error, OSError):
        said = os_failure(error)
    else:
        said = defect(error)
    return refuse(said, as_json="--json" in arguments)
