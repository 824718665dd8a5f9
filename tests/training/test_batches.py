from __future__ import annotations

from collections import Counter

import pytest
import torch

from loresmith.data.shards import TokenShards
from loresmith.errors import UserError
from loresmith.factory.step import InputAsset
from loresmith.training.batches import TokenBatches


def batches_of(tokens: InputAsset, seed: int = 0, sequence_length: int = 16, batch_tokens: int = 64) -> TokenBatches:
    return TokenBatches(TokenShards.open(tokens.directory).split("train"), sequence_length, batch_tokens, 32, seed)


def whole(batches: TokenBatches, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    parts = batches.batch(step).micro_batches
    return torch.cat([part.inputs for part in parts]), torch.cat([part.targets for part in parts])


def test_an_epoch_has_every_token_but_the_first_and_a_tail_once_as_a_target(tokens: InputAsset) -> None:
    batches = batches_of(tokens)
    stream = TokenShards.open(tokens.directory).split("train")
    rows = batches.samples // batches.sequences * batches.sequences
    seen = torch.cat([whole(batches, step)[1].flatten() for step in range(rows // batches.sequences)])
    rest = {int(sample) for sample in batches._order.take(rows, batches.samples - rows)}
    expected = Counter(stream.read(1, batches.samples * 16).tolist())
    for sample in rest:
        expected -= Counter(stream.read(sample * 16 + 1, 16).tolist())
    assert Counter(seen.tolist()) == expected


def test_inputs_and_targets_are_one_sequence(tokens: InputAsset) -> None:
    inputs, targets = whole(batches_of(tokens), 3)
    assert inputs.shape == targets.shape == (4, 16)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])


def test_any_step_is_the_same_whenever_it_is_asked_for(tokens: InputAsset) -> None:
    forwards, backwards = batches_of(tokens), batches_of(tokens)
    first = [whole(forwards, step) for step in range(40)]  # more than an epoch
    for step in reversed(range(40)):
        assert torch.equal(whole(backwards, step)[0], first[step][0])


def test_the_seed_decides_the_order(tokens: InputAsset) -> None:
    assert not torch.equal(whole(batches_of(tokens, seed=1), 0)[0], whole(batches_of(tokens, seed=2), 0)[0])


@pytest.mark.parametrize("steps", [0, 1, 17, 500])
def test_the_books_balance_however_long_it_trains(tokens: InputAsset, steps: int) -> None:
    account = batches_of(tokens).account(steps, trained=steps * 64)
    assert account.missing == 0
    assert account.kept == steps * 64


def test_tokens_that_the_loop_did_not_train_on_are_missing_in_the_books(tokens: InputAsset) -> None:
    assert batches_of(tokens).account(17, trained=16 * 64).missing == 64


def test_more_than_there_is_is_refused_before_the_first_step(tokens: InputAsset) -> None:
    with pytest.raises(UserError, match="longer than the data"):
        batches_of(tokens, sequence_length=2**20, batch_tokens=2**20)
    with pytest.raises(UserError, match="fewer than one batch"):
        batches_of(tokens, batch_tokens=16 * 2**16)
    with pytest.raises(UserError, match="not a multiple"):
        batches_of(tokens, batch_tokens=65)
