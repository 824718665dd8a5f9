"""`loresmith policy`: what a configuration's policies come to, for one request, for all, and for those that were."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loresmith import Workspace
from loresmith.ledger.clock import timestamp
from loresmith.serving.audit.record import AuditedResource, AuditRecord, Content
from tests.advice.corpora import document
from tests.cli.conftest import CommandLine
from tests.serving.audit.places import auditing
from tests.serving.retrieval.indexes import build

SERVING = """\
groups:
  physicians: {members: [user:ada], labels: [internal]}
  nurses: {}
policy: {administrators: [physicians]}
"""

CLOSED = SERVING.replace("policy: {", "policy: {default: false, files: [ward.cedar], ")
WARD = """\
@id("ward")
permit (principal in Group::"physicians", action == Action::"complete", resource == Release::"ward")
unless { context has tools && context.tools };
"""

EXAMPLES = Path(__file__).parents[2] / "examples" / "policies"


def test_a_sound_configuration(cli: CommandLine) -> None:
    done = cli("policy", "check", cli.write("serve.yaml", SERVING))
    assert done.status == 0
    assert "labels                     forbid  labels.cedar:3" in done.out
    assert "sound; digest " in done.out


def test_the_examples_are_sound_and_their_matrix_names_their_releases(cli: CommandLine) -> None:
    for name in ("hospital", "defence"):
        done = cli("policy", "check", EXAMPLES / name / "serve.yaml", "--matrix")
        assert done.status == 0, done.err
    done = cli("policy", "check", EXAMPLES / "hospital" / "serve.yaml", "--matrix", "--json")
    rows = [row for row in done.json["matrix"] if row["resource"] == "release studies" and row["action"] == "complete"]
    assert {row["principal"] for row in rows if row["allowed"]} == {
        "user:of-all",
        "user:of-research",
        "service:of-research",
    }


def test_what_is_wrong_is_said_with_its_line(cli: CommandLine) -> None:
    cli.write("ward.cedar", WARD.replace("physicians", "physicans"))
    done = cli("policy", "check", cli.write("serve.yaml", CLOSED))
    assert done.status == 1
    assert "ward.cedar:1: unknown group 'physicans'; did you mean 'physicians'?" in done.out
    assert cli("policy", "explain", "serve.yaml", "--as", "ada").status == 2
    done = cli("policy", "check", cli.write("serve.yaml", "polcy: {}"))
    assert (done.status, "did you mean 'policy'?" in done.err) == (2, True)


ROUTING = """\
models:
  ward: {release: ward, adapters: {night: ward-night@production}}
  studies: {release: studies}
guards:
  - {kind: secrets}
  - {kind: deny, phrases: [Project Falcon], action: route, route: ROUTE}
"""


def test_a_route_leads_to_a_model_that_is_served(cli: CommandLine) -> None:
    for route in ("studies", "ward:night"):
        cli.write("serve.yaml", SERVING + ROUTING.replace("ROUTE", route))
        assert cli("policy", "check", "serve.yaml").status == 0
        assert cli("guards", "check", "serve.yaml", "--text", "x").status == 0
    for route, said in (
        ("studys", "unknown served model 'studys'; did you mean 'studies'?"),
        ("studies:night", "unknown served model 'studies:night'"),
    ):
        cli.write("serve.yaml", SERVING + ROUTING.replace("ROUTE", route))
        done = cli("policy", "check", "serve.yaml")
        assert done.status == 1
        assert f"serve.yaml:10: the guard 'deny' routes to what nobody serves: {said}" in done.out
        done = cli("guards", "check", "serve.yaml", "--text", "x")
        assert (done.status, said in done.err) == (2, True)
        done = cli("serve", "serve.yaml", "--port", "0")
        assert (done.status, said in done.err, "serve.yaml:8" in done.err) == (2, True, True)
    cli.write("serve.yaml", SERVING + ROUTING.replace("ROUTE", "studies@production"))
    for words in (("policy", "check", "serve.yaml"), ("serve", "serve.yaml")):
        done = cli(*words)
        assert (done.status, "has no channel: 'studies@production' is none" in done.err) == (2, True)
    # Policies on their own, and the guards that somebody tries, need no models.
    cli.write(
        "serve.yaml", SERVING + ROUTING.replace("ROUTE", "elsewhere").partition("guards:")[2].join(["guards:", ""])
    )
    assert cli("policy", "check", "serve.yaml").status == 0


def test_a_decision_is_explained_with_the_labels_that_the_ledger_knows(cli: CommandLine) -> None:
    config = cli.write("serve.yaml", SERVING)
    done = cli("policy", "explain", config, "--as", "ada", "--model", "words@production")
    assert done.status == 0
    assert done.out.startswith("allowed: user:ada may complete\npermitted by default (default.cedar:3)\n")
    assert "release words  carries internal" in done.out
    done = cli("policy", "explain", config, "--as", "cal", "--model", "words@production")
    assert done.out.startswith("denied: user:cal may not complete\nforbidden by labels (labels.cedar:3)")
    assert "lacks the label internal" in done.out
    brought = cli(
        "policy", "explain", config, "--as", "service:crm", "--group", "physicians", "--model", "words", "--json"
    )
    assert brought.json["allowed"] is True


def test_what_is_not_there_is_not_explained(cli: CommandLine) -> None:
    config = cli.write("serve.yaml", SERVING)
    assert "did you mean" in cli("policy", "explain", config, "--as", "ada", "--model", "wrods@production").err
    assert "unknown group" in cli("policy", "explain", config, "--as", "ada", "--group", "physician").err
    assert cli("policy", "explain", config, "--as", "a b").status == 2
    assert cli("policy", "explain", config, "--as", "ada", "--at", "noon").status == 2


def test_other_actions_and_circumstances(cli: CommandLine) -> None:
    cli.write("ward.cedar", WARD)
    config = cli.write("serve.yaml", CLOSED)

    def allowed(*words: str) -> bool:
        return bool(cli("policy", "explain", config, "--as", "ada", *words, "--json").json["allowed"])

    assert allowed("--model", "ward@production", "--label", "internal")
    assert not allowed("--model", "ward@production", "--label", "internal", "--tools")
    assert not allowed("--model", "ward@production", "--label", "secret")
    assert not allowed("--action", "retrieve", "--label", "internal")
    assert allowed("--action", "administer")


SERVED = """\
models:
  assistant: {release: words, adapters: {night: words-night@production}}
"""


def test_a_served_name_is_the_release_behind_it(cli: CommandLine) -> None:
    config = cli.write("serve.yaml", SERVING + SERVED)

    def explained(*words: str) -> tuple[str, tuple[str, ...]]:
        done = cli("policy", "explain", config, "--as", "ada", *words, "--json")
        assert done.status == 0, done.err
        return done.json["resource"], tuple(done.json["labels"])

    assert explained("--model", "words@production") == ("release words", ("internal",))
    assert explained("--model", "assistant", "--label", "internal") == ("release words", ("internal",))
    assert explained("--model", "assistant:night", "--label", "internal")[0] == "adapter words:night"
    assert explained("--model", "other@candidate", "--label", "internal")[0] == "release other"
    shown = cli("policy", "check", config, "--matrix", "--json").json["matrix"]
    assert "release words" in {row["resource"] for row in shown}


FORMS = """\
@id("forms") forbid (principal, action == Action::"retrieve", resource is Document)
when { resource has path && resource.path like "forms/*" };
"""


def test_a_document_of_the_index_is_explained_as_the_gateway_decides_about_it(cli: CommandLine) -> None:
    rows = [
        document("ward/letter.txt", "The fever of the patient has gone down.", labels=["clinical"]),
        document("open.txt", "The pump is cleaned every week.", retain_until="2026-03-01"),
        document("forms/leave.txt", "Whoever goes on leave fills this in."),
        document("twice.txt", "One record of a file.", id="a" * 64, group="a"),
        document("twice.txt", "The other record of that file.", id="b" * 64, group="b"),
    ]
    with Workspace.open(cli.folder) as opened:
        made = build(cli.folder, rows).outputs["index"].directory
        index = opened.ledger.assets.add("index", made, {"test": "documents"}, ("clinical",)).digest
    cli.write("forms.cedar", FORMS)
    policy = SERVING.replace("policy: {", "policy: {files: [forms.cedar], ").replace("[internal]", "[clinical]")
    config = cli.write("serve.yaml", policy + f"retrieval: {{index: {index}}}\n")
    retrieve = ("policy", "explain", config, "--action", "retrieve")

    def explained(who: str, what: str, *more: str) -> tuple[bool, str]:
        done = cli(*retrieve, "--as", who, "--document", what, "--at", "2026-02-01T12:00:00Z", *more, "--json")
        assert done.status == 0, done.err
        return done.json["allowed"], done.json["why"]

    assert explained("ada", "ward/letter.txt") == (True, "permitted by default (default.cedar:3)")
    by_id = explained("cal", rows[0]["id"])
    assert by_id == explained("cal", "ward/letter.txt")
    assert by_id == (False, "forbidden by labels (labels.cedar:3): the caller lacks the label clinical")
    allowed, why = explained("ada", "forms/leave.txt")
    assert (allowed, why.startswith("forbidden by forms (")) == (False, True)
    assert explained("cal", "open.txt")[0]
    done = cli(*retrieve, "--as", "cal", "--document", "open.txt", "--at", "2026-03-02T00:00:00Z", "--json").json
    assert done["allowed"] is False
    assert done["why"].startswith("it might be kept until 2026-03-01, so nobody is shown it; permitted by default")
    shown = cli(*retrieve, "--as", "cal", "--document", "ward/letter.txt").out
    assert shown.startswith("denied: user:cal may not retrieve\n")
    assert f"document {rows[0]['id']}  carries clinical" in shown
    for words, said in (
        ((*retrieve, "--document", "ward/lettre.txt"), "the index has no document 'ward/lettre.txt'"),
        ((*retrieve, "--document", "twice.txt"), "2 documents have the path 'twice.txt'"),
        ((*retrieve, "--document", "open.txt", "--label", "x"), "leave --label out"),
        (("policy", "explain", config, "--document", "open.txt"), "one cannot complete a document"),
    ):
        done = cli(*words, "--as", "ada")
        assert (done.status, said in done.err) == (2, True), done.err
    config.write_text(SERVING)
    done = cli(*retrieve, "--as", "ada", "--document", "open.txt")
    assert (done.status, "retrieves from no index" in done.err) == (2, True)


def test_a_rule_that_means_a_served_name_is_refused(cli: CommandLine) -> None:
    """It would hold for nothing."""
    for kind, name, right in (("Release", "assistant", "words"), ("Adapter", "assistant:night", "words:night")):
        rule = f'@id("shut") forbid (principal, action, resource == {kind}::"{name}");'
        cli.write("ward.cedar", f"// Nobody.\n{rule}\n")
        config = cli.write("serve.yaml", CLOSED + SERVED)
        done = cli("policy", "check", config)
        assert done.status == 1
        assert "ward.cedar:2: 'assistant' is a name under which something is served" in done.out
        assert f'write {kind}::"{right}"' in done.out
        served = cli("serve", config, "--port", "0")
        assert (served.status, "ward.cedar:2" in served.err, f'{kind}::"{right}"' in served.err) == (2, True, True)
        cli.write("ward.cedar", rule.replace(name, right))
        assert cli("policy", "check", config).status == 0
    # The name of one is the release of another: then it means the release.
    cli.write("ward.cedar", '@id("shut") forbid (principal, action, resource == Release::"assistant");')
    both = SERVED + "  other: {release: assistant}\n"
    assert cli("policy", "check", cli.write("serve.yaml", CLOSED + both)).status == 0


SECRET = AuditedResource(kind="release", id="ward", labels=("secret",))


def record(response: str, at: str, principal: str, *, allowed: bool, **more: object) -> AuditRecord:
    usual = {
        "action": "complete",
        "resource": AuditedResource(kind="release", id="ward"),
        "groups": ("physicians",) if principal == "user:ada" else (),
    }
    given = {"response": response, "at": at, "principal": principal, "allowed": allowed}
    return AuditRecord.model_validate({"phase": "intent", "tenant": "default", **usual, **given, **more})


def test_the_audit_is_held_against_a_candidate(fresh: CommandLine) -> None:
    fresh.write("ward.cedar", WARD)
    fresh.write("candidate.yaml", CLOSED)
    now = timestamp()
    old = (datetime.now(UTC) - timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    with Workspace.open(fresh.folder) as workspace:
        records = [
            record("kept", now, "user:ada", allowed=True),
            record("too old", old, "user:eve", allowed=True),
            record("stranger", now, "user:eve", allowed=True),
            record("with tools", now, "user:ada", allowed=True, context={"tools": True, "address": "10.0.0.1"}),
            record("was denied", now, "user:ada", allowed=False),
            record("still denied", now, "user:eve", allowed=False),
            record("labelled", now, "user:ada", allowed=True, resource=SECRET),
            record("nobody", now, "", allowed=False, action="", resource=None),
        ]
        workspace.ledger.audit_records.append([one.row() for one in records])
        workspace.ledger.audit_records.append([record("kept", now, "user:ada", allowed=True).row()])
    done = fresh("policy", "replay", "candidate.yaml", "--json").json
    assert (done["requests"], done["passed_over"]) == (7, 1)
    turned = {flip["response"]: (flip["was_allowed"], flip["allowed"]) for flip in done["flips"]}
    assert turned == {
        "stranger": (True, False),
        "with tools": (True, False),
        "was denied": (False, True),
        "labelled": (True, False),
    }
    shown = fresh("policy", "replay", "candidate.yaml", "--days", "60").out
    assert "8 requests since" in shown
    assert "(1 record without a decision): 5 would turn" in shown
    assert "ward would permit" not in shown
    assert "but for: unless" in shown


def test_a_replay_takes_a_keys_groups_from_the_key(fresh: CommandLine) -> None:
    fresh.write("ward.cedar", WARD)
    fresh.write("candidate.yaml", CLOSED)
    made = fresh("keys", "create", "user:cal", "--group", "nurses", "--because", "x", "--json").json["key"]["key"]
    with Workspace.open(fresh.folder) as workspace:
        was = record("cal", timestamp(), "user:cal", allowed=True, credential=made, groups=("physicians",))
        workspace.ledger.audit_records.append([was.row()])
    assert [flip["response"] for flip in fresh("policy", "replay", "candidate.yaml", "--json").json["flips"]] == ["cal"]


GUARDS = """\
guards:
  - {kind: privacy, finds: [email]}
"""


def say(cli: CommandLine, response: str, asked: str) -> None:
    """Put a talk on the record of the workspace."""

    async def story() -> None:
        with Workspace.open(cli.folder) as workspace:
            async with auditing(workspace.ledger, workspace.place.state) as audit:
                said = Content(messages=({"role": "user", "content": asked},))
                await audit.intent(record(response, timestamp(), "user:ada", allowed=True), said)
                answer = Content(answer={"role": "assistant", "content": "Fine."})
                outcome = record(response, timestamp(), "user:ada", allowed=True, phase="outcome", status=200)
                await audit.outcome(outcome, answer)

    asyncio.run(story())


def test_what_was_said_is_held_against_a_candidates_guards(fresh: CommandLine) -> None:
    say(fresh, "r-plain", "What time is it?")
    say(fresh, "r-mail", "Write to grace@example.org")
    fresh.write("guards.yaml", GUARDS)
    done = fresh("policy", "replay", "guards.yaml", "--because", "we want to mask addresses", "--json").json
    assert (done["requests"], done["digest"]) == (0, None)
    assert (done["guards"]["read"], done["guards"]["turned"], done["unasked"]) == (2, 1, False)
    (flip,) = done["guards"]["flips"]
    assert (flip["response"], flip["was"], flip["would"]) == ("r-mail", "allow", "redact")
    assert [(rule["guard"], rule["rule"], rule["read"]) for rule in flip["rules"]] == [("privacy", "email", True)]
    shown = fresh("policy", "replay", "guards.yaml", "--because", "as before").out
    assert "guards read 2 requests since" in shown
    assert "1 would turn" in shown
    assert "grace" not in shown + json.dumps(done)
    with Workspace.open(fresh.folder) as workspace:
        leaves = workspace.ledger.log.payloads(range(workspace.ledger.log.head().size)).values()
    reads = [json.loads(leaf)["key"] for leaf in leaves if json.loads(leaf)["kind"] == "audit-read"]
    assert len(reads) == 2
    assert "guards.yaml, because we want to mask addresses" in reads[0]


def test_nobodys_words_are_read_without_a_reason(fresh: CommandLine) -> None:
    say(fresh, "r-mail", "Write to grace@example.org")
    fresh.write("guards.yaml", GUARDS)
    done = fresh("policy", "replay", "guards.yaml")
    assert (done.status, "needs a reason" in done.err) == (2, True)
    fresh.write("both.yaml", SERVING + GUARDS)
    shown = fresh("policy", "replay", "both.yaml").out
    assert "1 requests since" in shown
    assert "its guards were not asked: say --because" in shown
    both = fresh("policy", "replay", "both.yaml", "--because", "a test", "--json").json
    assert (both["requests"], both["guards"]["turned"], both["unasked"]) == (1, 1, False)
    fresh.write("none.yaml", SERVING)
    assert fresh("policy", "replay", "none.yaml", "--json").json["unasked"] is False
    assert "there is no key `guards`" in fresh("policy", "replay", "none.yaml", "--because", "a test").err


def test_a_destroyed_key_is_said(fresh: CommandLine) -> None:
    say(fresh, "r-mail", "Write to grace@example.org")
    assert fresh("audit", "erase", "--tenant", "default", "--because", "a test").status == 0
    fresh.write("guards.yaml", GUARDS)
    shown = fresh("policy", "replay", "guards.yaml", "--because", "a test").out
    assert "guards read 0 requests" in shown
    assert "1 record could not be read: the key is gone" in shown
