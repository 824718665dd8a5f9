"""Filling a gap: the model sees what training showed it, as much of both sides as there is room for, and stops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from loresmith.errors import UserError
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.fill import fill
from loresmith.models.fill_in_the_middle import FILL_IN_THE_MIDDLE
from loresmith.models.storage import load_tokenizer
from tests.models.tiny_tokenizer import make_tokenizer
from tests.training import fim_tokenizer
from tests.training.fim_tokenizer import encoder, raw

PRE, MID, SUF = (raw().token_to_id(name) for name in FILL_IN_THE_MIDDLE)
END = encoder().end_of_document


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(fim_tokenizer.directory())


class Rehearsed(torch.nn.Module):
    """A model that says given tokens, whatever it is shown, and remembers what that was."""

    def __init__(self, says: list[int], window: int) -> None:
        super().__init__()
        shape = Architecture(layers=1, width=16, head_dim=16)
        config = transformers_config(shape, vocabulary_size=len(raw().get_vocab()), positions=window)
        self.model = build_model(config, seed=0)
        self.config, self.generation_config, self.device = self.model.config, None, torch.device("cpu")
        self.says: Iterator[int] = iter(says)
        self.shown: list[list[int]] = []

    def forward(self, input_ids: torch.Tensor, **kwargs: Any) -> Any:
        self.shown.append(input_ids[0].tolist())
        output = self.model(input_ids, **kwargs)
        output.logits = torch.zeros_like(output.logits)
        output.logits[..., next(self.says)] = 1
        return output


@pytest.mark.parametrize("order", ["psm", "spm"])
def test_the_prompt_is_what_training_shows_before_the_middle(tokenizer: Any, order: str) -> None:
    middle = encoder().parts(["line.st"])[0].tolist()
    model = Rehearsed([*middle, END], 64)
    written = "".join(fill(model, tokenizer, "return ", "rip()", order=order))  # type: ignore[arg-type]
    assert written == "line.st"
    before, after = (part.tolist() for part in encoder().parts(["return ", "rip()"]))
    expected = [PRE, *before, SUF, *after, MID] if order == "psm" else [PRE, SUF, *after, MID, *before]
    assert model.shown[0] == [END, *expected]


def test_it_stops_at_a_sentinel_and_after_so_many_tokens(tokenizer: Any) -> None:
    (a,) = encoder().parts(["="])[0].tolist()
    assert "".join(fill(Rehearsed([a, SUF, a], 64), tokenizer, "x", "1")) == "="
    assert "".join(fill(Rehearsed([a] * 9, 64), tokenizer, "x", "1", max_new_tokens=3)) == "==="


@pytest.mark.parametrize(("before", "after", "kept"), [(300, 300, (22, 22)), (300, 5, (39, 5)), (5, 300, (5, 39))])
def test_long_sides_keep_what_is_next_to_the_gap(
    tokenizer: Any, before: int, after: int, kept: tuple[int, int]
) -> None:
    letters = "".join(chr(65 + n % 26) for n in range(600))
    model = Rehearsed([END], 64)
    prefix, suffix = letters[:before], letters[-after:]
    assert "".join(fill(model, tokenizer, prefix, suffix, max_new_tokens=16)) == ""
    (shown,) = model.shown
    assert len(shown) <= 64 - 16
    suf = shown.index(SUF)
    ids_before, ids_after = (part.tolist() for part in encoder().parts([prefix, suffix]))
    assert shown == [END, PRE, *ids_before[-kept[0] :], SUF, *ids_after[: kept[1]], MID]
    assert suf == 2 + kept[0]


def test_text_that_spells_a_sentinel_is_text(tokenizer: Any) -> None:
    model = Rehearsed([END], 128)
    "".join(fill(model, tokenizer, "<|fim_suffix|>", "<|endoftext|>"))
    assert model.shown[0].count(SUF) == 1
    assert model.shown[0].count(END) == 1


def test_a_model_without_sentinels_is_refused() -> None:
    with pytest.raises(UserError, match="no tokens for filling in the middle"):
        fill(Rehearsed([0], 64), make_tokenizer(), "a", "b")  # type: ignore[arg-type]


def test_where_something_is_known_to_be_missing_the_middle_does_not_end_at_once(tokenizer: Any) -> None:
    dot = encoder().parts(["."])[0].tolist()
    wants_to_end = Rehearsed([END, *dot, END], 64)
    assert "".join(fill(wants_to_end, tokenizer, "a", "b")) == ""  # type: ignore[arg-type]
    wants_to_end = Rehearsed([END, *dot, END], 64)
    assert len("".join(fill(wants_to_end, tokenizer, "a", "b", min_new_tokens=1))) > 0  # type: ignore[arg-type]
