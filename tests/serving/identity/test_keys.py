"""API keys: shown once, kept as keyed hashes, good until they expire, are replaced or revoked."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from loresmith.data.privacy.recognisers import Recognisers
from loresmith.data.privacy.rules import PrivacyRules
from loresmith.errors import Failure, UserError
from loresmith.ledger import Ledger
from loresmith.serving.identity.authenticator import POLL_SECONDS, STALE_SECONDS, Authenticator
from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.keys import Keys, keyed_hash
from loresmith.serving.identity.server_key import make_server_key, read_server_key
from loresmith.serving.identity.settings import GroupSettings, IdentitySettings
from loresmith.serving.identity.unauthenticated import IdentityUnavailable, Unauthenticated
from loresmith.serving.wall_clock import WallClock

GROUPS = Groups({"physicians": GroupSettings(labels=("clinical",), tenant="ward")})
DAY = timedelta(days=1)


def opened(folder: Path) -> Ledger:
    return Ledger.open(
        database=f"sqlite:///{folder}/ledger.db?lock_wait=1",
        blobs=folder / "blobs",
        views=folder / "views",
        key_file=folder / "key.pem",
        actor="grace@host",
        create=True,
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def keys(ledger: Ledger, tmp_path: Path) -> Keys:
    return Keys(ledger.credentials, tmp_path / "credentials.key")


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def gateway(
    ledger: Ledger, folder: Path, clock: Clock | None = None, now: Callable[[], datetime] | None = None
) -> Authenticator:
    key, seconds = folder / "credentials.key", clock or time.monotonic
    return Authenticator(IdentitySettings(), GROUPS, ledger.credentials, key, clock=seconds, now=now)


def reason(authenticator: Authenticator, secret: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        authenticator.authenticate(f"Bearer {secret}")
    assert str(refused.value) == "not authenticated"  # whoever asks learns nothing more
    return refused.value.reason


def test_whoever_has_the_key_is_known(ledger: Ledger, keys: Keys, tmp_path: Path) -> None:
    made, secret = keys.create("service:crm", ("physicians", "nobody"), DAY, "the CRM")
    caller = gateway(ledger, tmp_path).authenticate(f"bearer {secret}")
    assert (caller.id, caller.groups, caller.labels) == ("service:crm", ("physicians",), {"clinical"})
    assert (caller.tenant, caller.credential) == ("ward", made.key)
    assert ledger.log.verify().first_bad is None


def test_the_secret_is_nowhere(ledger: Ledger, keys: Keys, tmp_path: Path) -> None:
    made, secret = keys.create("user:ada", (), DAY, "Ada")
    assert secret.startswith(f"ls-{made.key}-")
    bits = secret.removeprefix(f"ls-{made.key}-")
    assert len(bits) == 43  # 256 bits in base64
    ledger.close()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert bits.encode() not in file.read_bytes(), file
    assert (tmp_path / "credentials.key").stat().st_mode & 0o777 == 0o600
    connection = sqlite3.connect(tmp_path / "ledger.db")
    ((stored,),) = connection.execute("SELECT hash FROM credential_event")
    connection.close()
    assert len(stored) == 64


def test_every_key_is_a_secret_to_those_who_look_for_secrets(keys: Keys) -> None:
    """Also in a document, before a guard, and right after it was given a new secret."""
    secrets = Recognisers(PrivacyRules(kinds=("secret",)))
    for number in range(20):
        credential, key = keys.create(f"user:u{number}", (), timedelta(days=1), "trying")
        _, rotated = keys.rotate(credential.key, timedelta(0), "trying")
        for one in (key, rotated):
            text = f"export OPENAI_API_KEY={one}\nSend {one}, please. <{one}>"
            found = secrets.find(text)
            assert [text[finding.start : finding.end] for finding in found] == [one] * 3, text
            assert "secret/loresmith" in {finding.rule for finding in found}


def test_what_is_not_quite_the_key_is_no_key(ledger: Ledger, keys: Keys, tmp_path: Path) -> None:
    made, secret = keys.create("user:ada", (), DAY, "Ada")
    other, other_secret = keys.create("user:bea", (), DAY, "Bea")
    known = gateway(ledger, tmp_path)
    own, others = (text.split("-", 2)[2] for text in (secret, other_secret))
    assert reason(known, f"ls-{made.key}-{others}") == f"a wrong secret of key {made.key}"
    assert reason(known, f"ls-{other.key}-{own}") == f"a wrong secret of key {other.key}"
    assert reason(known, secret[:-1]).startswith("a wrong secret")
    assert reason(known, f"{secret}A").startswith("a wrong secret")
    assert reason(known, f"ls-nosuchkey-{own}") == "an API key that there is not"
    for broken in ("ls-", "ls--", f"ls-{made.key}", f"ls-{made.key}-", "ls-" + "x" * 10_000):
        reason(known, broken)


def test_a_key_for_nobody_that_got_into_the_ledger_opens_nothing(ledger: Ledger, keys: Keys, tmp_path: Path) -> None:
    keys.create("user:ada", (), DAY, "so that there is a server key")
    hashed = keyed_hash(read_server_key(tmp_path / "credentials.key"), "odd", "secret")
    ledger.credentials.create("odd", "everybody", (), hashed, None, "by other ways")
    assert "not of the form" in reason(gateway(ledger, tmp_path), "ls-odd-secret")


def test_a_hash_that_is_copied_to_another_key_is_of_no_use(ledger: Ledger, keys: Keys, tmp_path: Path) -> None:
    made, secret = keys.create("user:eve", (), DAY, "Eve")
    ledger.credentials.create("admins", "user:grace", (), made.hash, None, "Eve can write to the database")
    reason(gateway(ledger, tmp_path), secret.replace(made.key, "admins"))


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "{}", "Bearer  {}", "Bearer {} x", "Bearer {}\n"]
)
def test_only_a_bearer_header_counts(ledger: Ledger, keys: Keys, tmp_path: Path, header: str | None) -> None:
    _, secret = keys.create("user:ada", (), DAY, "Ada")
    with pytest.raises(Unauthenticated):
        gateway(ledger, tmp_path).authenticate(header and header.replace("{}", secret))


def test_revoked_and_expired_keys_are_refused(ledger: Ledger, keys: Keys, tmp_path: Path) -> None:
    revoked, secret = keys.create("user:ada", (), DAY, "Ada")
    _, short = keys.create("user:ada", (), timedelta(milliseconds=1), "Ada, for a moment")
    known = gateway(ledger, tmp_path)
    known.authenticate(f"Bearer {secret}")
    keys.revoke(revoked.key, "lost")
    known.read_keys()
    assert reason(known, secret) == f"key {revoked.key} was revoked"
    assert "has expired" in reason(known, short)
    with pytest.raises(UserError, match="was revoked"):
        keys.rotate(revoked.key, DAY, "again")
    assert [credential.principal for credential in keys.list()] == ["user:ada"]
    assert len(keys.list(revoked=True)) == 2


def test_a_new_secret_lets_the_old_one_live_for_its_grace(ledger: Ledger, keys: Keys, tmp_path: Path) -> None:
    made, first = keys.create("user:ada", ("physicians",), DAY, "Ada")
    _, second = keys.rotate(made.key, DAY, "yearly")
    known = gateway(ledger, tmp_path)
    assert known.authenticate(f"Bearer {first}") == known.authenticate(f"Bearer {second}")
    _, third = keys.rotate(made.key, timedelta(), "leaked")
    known.read_keys()
    for gone in (first, second):
        reason(known, gone)
    assert known.authenticate(f"Bearer {third}").groups == ("physicians",)
    keys.revoke(made.key, "leaked again")
    known.read_keys()
    reason(known, third)


class MovedClock:
    """A machine's clock that can be set, and the seconds that pass all the same."""

    def __init__(self) -> None:
        self.set_by = 0.0
        self.passed = 0.0
        self.now = WallClock(lambda: time.time() + self.set_by + self.passed, lambda: self.passed)


def test_a_clock_that_is_set_back_brings_no_key_back(ledger: Ledger, keys: Keys, tmp_path: Path) -> None:
    made, first = keys.create("user:ada", (), DAY, "Ada")
    _, second = keys.rotate(made.key, timedelta(hours=1), "yearly")
    clock = MovedClock()
    known = gateway(ledger, tmp_path, now=clock.now)
    known.authenticate(f"Bearer {first}")
    clock.passed = 3700
    assert "wrong secret" in reason(known, first)
    clock.set_by = -7 * 86_400  # by a week: the grace is over all the same
    assert "wrong secret" in reason(known, first)
    known.authenticate(f"Bearer {second}")
    clock.passed = 90_000
    assert "has expired" in reason(known, second)


def test_a_clock_that_is_set_forward_ends_keys_until_it_is_right_again(
    ledger: Ledger, keys: Keys, tmp_path: Path
) -> None:
    _, secret = keys.create("user:ada", (), DAY, "Ada")
    clock = MovedClock()
    known = gateway(ledger, tmp_path, now=clock.now)
    clock.set_by = 2 * 86_400
    assert "has expired" in reason(known, secret)
    clock.set_by = 0
    known.authenticate(f"Bearer {secret}")


def test_a_running_gateway_knows_within_five_seconds(ledger: Ledger, keys: Keys, tmp_path: Path) -> None:
    others = set(threading.enumerate())
    known = gateway(ledger, tmp_path)
    known.start()
    appeared = []
    try:
        with opened(tmp_path) as elsewhere:
            from_there = Keys(elsewhere.credentials, tmp_path / "credentials.key")
            for _ in range(5):  # a machine that stands still is as late as it was
                made, secret = from_there.create("user:ada", (), DAY, "Ada")
                appeared.append(waited(known, secret, True))
                from_there.revoke(made.key, "gone")
                vanished = waited(known, secret, False)
                if appeared[-1] < 5:
                    break
    finally:
        known.close()
    assert min(appeared) < 5
    assert vanished < 5  # whatever the machine does
    left = set(threading.enumerate()) - others
    assert not [thread for thread in left if thread.name.startswith("identity")]


def wait_until(what: Callable[[], object], seconds: float) -> None:
    begun = time.monotonic()
    while not what():
        assert time.monotonic() - begun < seconds, "it did not come about"
        time.sleep(0.05)


def waited(known: Authenticator, secret: str, wanted: bool) -> float:
    """After how many seconds it was last asked whether a secret is taken, or no more, and that was not yet so."""
    started = last = time.monotonic()

    def taken() -> bool:
        try:
            return known.authenticate(f"Bearer {secret}").id == "user:ada"
        except (Unauthenticated, IdentityUnavailable):
            return False

    def is_so() -> bool:
        nonlocal last
        asked = time.monotonic()
        if taken() == wanted:
            return True
        last = asked
        return False

    wait_until(is_so, 60)
    return last - started


def test_what_is_too_old_to_be_sure_opens_nothing(ledger: Ledger, keys: Keys, tmp_path: Path) -> None:
    _, secret = keys.create("user:ada", (), DAY, "Ada")
    clock = Clock()
    known = gateway(ledger, tmp_path, clock)
    clock.seconds = STALE_SECONDS
    assert known.authenticate(f"Bearer {secret}").id == "user:ada"
    clock.seconds += 0.1
    with pytest.raises(IdentityUnavailable):
        known.authenticate(f"Bearer {secret}")
    assert known.problems
    known.read_keys()
    assert known.authenticate(f"Bearer {secret}").id == "user:ada"


def _garbage(database: Path) -> None:
    for end in ("-wal", "-shm"):
        database.with_name(database.name + end).unlink(missing_ok=True)
    database.write_bytes(b"\xff\x00what" * 4000)


def _groups_that_are_none(database: Path) -> None:
    """A row that no version of ours has written; it is an event, so that the keys are read anew."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("UPDATE credential_event SET groups = '5', leaf = leaf + 1000")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(lambda file: _replaced(file, lambda new: None), "replaced", id="an older copy in its place"),
        pytest.param(_groups_that_are_none, "TypeError", id="a row that says what none says"),
        pytest.param(lambda file: _replaced(file, _garbage), "replaced", id="garbage", marks=pytest.mark.slow),
        pytest.param(lambda file: _replaced(file, Path.unlink), "removed", id="gone", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_ledger_lets_nobody_in_until_it_is_whole_again(
    ledger: Ledger,
    keys: Keys,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
    said: str,
) -> None:
    """Whatever it is: the thread that follows the keys goes on, tells it once, and the keys are taken no longer."""
    _, secret = keys.create("user:ada", (), DAY, "Ada")
    database, whole = tmp_path / "ledger.db", tmp_path / "whole"
    clock = Clock()
    known = gateway(ledger, tmp_path, clock)
    known.start()
    try:
        assert known.authenticate(f"Bearer {secret}").id == "user:ada"
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(database, whole)
        damage(database)
        wait_until(lambda: caplog.records, 60)
        clock.seconds += STALE_SECONDS + 0.1
        time.sleep(POLL_SECONDS + 0.2)  # it is tried again, and fails again
        with pytest.raises(IdentityUnavailable):
            known.authenticate(f"Bearer {secret}")
        assert known.problems
        (told,) = caplog.records
        assert said in told.getMessage()
        _restored(database, whole)
        wait_until(lambda: not known.problems, 60)
        assert known.authenticate(f"Bearer {secret}").id == "user:ada"
        assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    finally:
        known.close()


def _replaced(database: Path, change: Callable[[Path], None]) -> None:
    """Another file in the place of the ledger, which is kept aside."""
    new = database.with_name("new")
    shutil.copy(database, new)
    database.rename(database.with_name("aside"))
    new.rename(database)
    change(database)


def _restored(database: Path, whole: Path) -> None:
    """The very file of before, with what was in it."""
    aside = database.with_name("aside")
    if aside.exists():
        aside.rename(database)
        return
    with closing(sqlite3.connect(database)) as connection, closing(sqlite3.connect(whole)) as source:
        source.backup(connection)


def test_keys_may_be_switched_off(ledger: Ledger, keys: Keys, tmp_path: Path) -> None:
    _, secret = keys.create("user:ada", (), DAY, "Ada")
    none = Authenticator(IdentitySettings(keys=False), GROUPS, ledger.credentials, tmp_path / "credentials.key")
    assert "none are taken" in reason(none, secret)


def test_groups_follow_a_reload(ledger: Ledger, keys: Keys, tmp_path: Path) -> None:
    _, secret = keys.create("user:ada", ("physicians",), DAY, "Ada")
    known = gateway(ledger, tmp_path)
    same = known.prepare(IdentitySettings())
    known.reload(IdentitySettings(), Groups({"physicians": GroupSettings(labels=("other",))}), same)
    assert known.authenticate(f"Bearer {secret}").labels == {"other"}


def test_a_server_key_that_others_may_read_is_refused(ledger: Ledger, keys: Keys, tmp_path: Path) -> None:
    keys.create("user:ada", (), DAY, "Ada")
    (tmp_path / "credentials.key").chmod(0o644)
    with pytest.raises(Failure, match="others than its owner"):
        gateway(ledger, tmp_path)
    (tmp_path / "credentials.key").unlink()
    with pytest.raises(Failure, match="missing"):
        gateway(ledger, tmp_path)


def test_all_who_make_the_server_key_at_once_have_the_same(tmp_path: Path) -> None:
    made: list[bytes] = []
    threads = [threading.Thread(target=lambda: made.append(make_server_key(tmp_path / "key"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_a_key_for_nobody_is_refused(keys: Keys) -> None:
    with pytest.raises(UserError, match="is nobody"):
        keys.create("ada", (), DAY, "Ada")
    with pytest.raises(UserError, match="reason"):
        keys.create("user:ada", (), DAY, " ")
