from __future__ import annotations

import errno
import json
import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch

from loresmith.errors import Failure
from loresmith.training import checkpoint_writer
from loresmith.training.checkpoint import Checkpoint, CheckpointStore
from loresmith.training.checkpoint_writer import CheckpointWriter


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(
        step,
        100 * step,
        {"w": torch.full((3, 2), float(step))},
        {"w//momentum": torch.arange(6.0)},
        [("loss", 0.5, 100)],
    )


def save(store: CheckpointStore, checkpoint: Checkpoint) -> Path:
    with closing(CheckpointWriter(store)) as writer:
        writer.begin(checkpoint)
        written = writer.collect(wait=True)
    assert written is not None
    return written.directory


def same(one: Checkpoint, other: Checkpoint | None) -> bool:
    return (
        other is not None
        and (one.step, one.tokens, one.history) == (other.step, other.tokens, other.history)
        and torch.equal(one.masters["w"], other.masters["w"])
        and torch.equal(one.optimiser["w//momentum"], other.optimiser["w//momentum"])
    )


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    save(CheckpointStore(tmp_path), checkpoint(7))
    assert same(checkpoint(7), CheckpointStore(tmp_path).load_newest(pytest.fail))


def test_the_newest_two_stay(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for step in (9, 10, 100):
        save(store, checkpoint(step))
    assert [directory.name for directory in store.list()] == ["step-00000100", "step-00000010"]
    assert same(checkpoint(100), store.load_newest(pytest.fail))


@pytest.mark.parametrize("file", ["masters.safetensors", "optimiser.safetensors", "state.json", "digests.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(tmp_path: Path, file: str, damage: str) -> None:
    store = CheckpointStore(tmp_path)
    save(store, checkpoint(1))
    path = save(store, checkpoint(2)) / file
    content = path.read_bytes()
    if damage == "flipped":
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()
    said: list[str] = []
    assert same(checkpoint(1), store.load_newest(said.append))
    assert len(said) == 1
    assert "step-00000002 is damaged" in said[0]
    assert file in said[0] or (file, damage) == ("digests.json", "flipped")  # then it names a file it misjudges


def test_where_none_is_whole_there_is_none(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    assert store.load_newest(pytest.fail) is None
    (save(store, checkpoint(1)) / "state.json").unlink()
    said: list[str] = []
    assert store.load_newest(said.append) is None
    assert said


def test_what_a_killed_writer_left_is_not_taken_for_a_checkpoint(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    save(store, checkpoint(1))
    half = tmp_path / ".writing-step-00000002"
    half.mkdir()
    (half / "masters.safetensors").write_bytes(b"half")
    again = CheckpointStore(tmp_path)
    assert same(checkpoint(1), again.load_newest(pytest.fail))
    assert same(checkpoint(2), CheckpointStore(save(again, checkpoint(2)).parent).load_newest(pytest.fail))
    assert not half.exists()


def test_a_damaged_one_is_written_over_when_its_step_comes_again(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    (save(store, checkpoint(3)) / "state.json").write_bytes(b"{")
    save(store, checkpoint(3))
    assert same(checkpoint(3), store.load_newest(pytest.fail))


def test_those_of_every_so_many_steps_stay_for_good(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=1, keep_every=10)
    for step in (10, 15, 20, 25, 27):
        save(store, checkpoint(step))
    assert [int(directory.name[-8:]) for directory in store.list()] == [27, 20, 10]


def test_one_of_another_format_is_passed_over(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    directory = save(store, checkpoint(1))
    state = json.loads((directory / "state.json").read_text()) | {"format": 2}
    (directory / "state.json").write_text(json.dumps(state))
    digests = json.loads((directory / "digests.json").read_text())
    digests["state.json"] = checkpoint_writer.file_digest(directory / "state.json")
    (directory / "digests.json").write_text(json.dumps(digests))
    said: list[str] = []
    assert store.load_newest(said.append) is None
    assert "format 2" in said[0]


def damage(directory: Path) -> None:
    (directory / "masters.safetensors").write_bytes(b"")


def test_where_training_begins_again_before_damaged_ones_the_new_ones_stay(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for step in (90, 100):
        damage(save(store, checkpoint(step)))
    assert store.load_newest(lambda _said: None) is None
    for step in (10, 20):
        save(store, checkpoint(step))
        assert same(checkpoint(step), store.load_newest(pytest.fail))
    assert [directory.name for directory in store.list()] == ["step-00000020", "step-00000010"]


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A disk that flushes nothing before the event is set."""
    goes_on = threading.Event()
    flush = os.fsync

    def wait_and_flush(descriptor: int) -> None:
        assert goes_on.wait(60)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", wait_and_flush)
    yield goes_on
    goes_on.set()


def test_what_is_written_is_the_state_when_it_began(tmp_path: Path, slow_disk: threading.Event) -> None:
    store, begun = CheckpointStore(tmp_path), checkpoint(4)
    with closing(CheckpointWriter(store)) as writer:
        writer.begin(begun)
        # training goes on: weights, momenta and the curve change while the writer is at work
        begun.masters["w"].zero_()
        begun.optimiser["w//momentum"].zero_()
        begun.history.append(("loss", 0.1, 200))
        assert writer.busy
        assert writer.collect() is None
        assert store.list() == [], "it has its name only when it is whole"
        slow_disk.set()
        assert writer.collect(wait=True) is not None
        assert not writer.busy
    assert same(checkpoint(4), store.load_newest(pytest.fail))


def test_the_memory_of_one_is_used_for_the_next(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    with closing(CheckpointWriter(store)) as writer:
        for step in (1, 2):
            writer.begin(checkpoint(step))
            writer.collect(wait=True)
            assert same(checkpoint(step), store.load_newest(pytest.fail))


def test_a_full_disk_is_one_clear_message_and_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path)
    save(store, checkpoint(1))

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with closing(CheckpointWriter(store)) as writer:
        monkeypatch.setattr(os, "fsync", refuse)
        writer.begin(checkpoint(2))
        with pytest.raises(Failure, match="the disk is full"):
            writer.collect(wait=True)
        monkeypatch.undo()
        assert same(checkpoint(1), CheckpointStore(tmp_path).load_newest(pytest.fail))


def test_a_file_of_tensors_that_cannot_be_written_is_one_too(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    before, signalled = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with closing(CheckpointWriter(store)) as writer:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))  # no file grows beyond 64 bytes
            writer.begin(checkpoint(1))
            with pytest.raises(Failure, match="File too large"):
                writer.collect(wait=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, signalled)
    assert store.list() == []
    assert store.load_newest(pytest.fail) is None
