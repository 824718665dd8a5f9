from __future__ import annotations

from pathlib import Path

import pytest
import torch

from loresmith.training.checkpoint import Checkpoint, CheckpointStore


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(
        step,
        100 * step,
        {"w": torch.full((3, 2), float(step))},
        {"w//momentum": torch.arange(6.0)},
        [("loss", 0.5, 100)],
    )


def same(one: Checkpoint, other: Checkpoint | None) -> bool:
    return (
        other is not None
        and (one.step, one.tokens, one.history) == (other.step, other.tokens, other.history)
        and torch.equal(one.masters["w"], other.masters["w"])
        and torch.equal(one.optimiser["w//momentum"], other.optimiser["w//momentum"])
    )


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    CheckpointStore(tmp_path).save(checkpoint(7))
    assert same(checkpoint(7), CheckpointStore(tmp_path).load_newest(pytest.fail))


def test_the_newest_two_stay(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for step in (9, 10, 100):
        store.save(checkpoint(step))
    assert [directory.name for directory in store.list()] == ["step-00000100", "step-00000010"]
    assert same(checkpoint(100), store.load_newest(pytest.fail))


@pytest.mark.parametrize("file", ["masters.safetensors", "optimiser.safetensors", "state.json", "digests.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(tmp_path: Path, file: str, damage: str) -> None:
    store = CheckpointStore(tmp_path)
    store.save(checkpoint(1))
    path = store.save(checkpoint(2)) / file
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
    (store.save(checkpoint(1)) / "state.json").unlink()
    said: list[str] = []
    assert store.load_newest(said.append) is None
    assert said


def test_what_a_killed_writer_left_is_not_taken_for_a_checkpoint(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(checkpoint(1))
    half = tmp_path / ".writing-step-00000002"
    half.mkdir()
    (half / "masters.safetensors").write_bytes(b"half")
    again = CheckpointStore(tmp_path)
    assert same(checkpoint(1), again.load_newest(pytest.fail))
    assert same(checkpoint(2), CheckpointStore(again.save(checkpoint(2)).parent).load_newest(pytest.fail))
    assert not half.exists()


def test_a_damaged_one_is_written_over_when_its_step_comes_again(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    (store.save(checkpoint(3)) / "state.json").write_bytes(b"{")
    store.save(checkpoint(3))
    assert same(checkpoint(3), store.load_newest(pytest.fail))
