"""Text from a model, piece by piece, as it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from loresmith.errors import UserError
from loresmith.models.chat_template import TURN_END
from loresmith.models.conversation import ConversationRenderer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

INCOMPLETE = "\ufffd"
"""What a decoder writes for bytes that do not yet make a character."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen; see `complete`."""

    max_new_tokens: int
    temperature: float
    top_p: float
    seed: int
    min_new_tokens: int = 0

    @classmethod
    def checked(cls, max_new_tokens: int, temperature: float, top_p: float, seed: int) -> Sampling:
        """Raises UserError for a value out of its range."""
        if max_new_tokens < 1:
            raise UserError(f"max_new_tokens must be at least 1, not {max_new_tokens}")
        if temperature < 0:
            raise UserError(f"temperature must not be negative, as {temperature} is")
        if not 0 < top_p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1, not {top_p}")
        return cls(max_new_tokens, temperature, top_p, seed)


def complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    *,
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    stop: Sequence[str] = (),
) -> Iterator[str]:
    """Continue a prompt.

    The same model, prompt, settings and seed give the same text on the same machine. A prompt that is longer than the
    model's window is cut at its start; a text that outgrows the window goes on from its last half.

    Args:
        prompt: plain text; an empty one begins a document.
        max_new_tokens: at most so many tokens are written.
        temperature: 0 takes the likeliest token each time; 1 samples from the model's distribution.
        top_p: sample only from the likeliest tokens that together have this probability (Holtzman et al., The Curious
            Case of Neural Text Degeneration, 2020).
        seed: of the sampling.
        stop: the text ends before the first of these strings, which is not part of it.

    Yields:
        The text that follows the prompt, in pieces; whole characters only.

    Raises:
        UserError: a setting is out of its range.
    """
    sampling = Sampling.checked(max_new_tokens, temperature, top_p, seed)
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    if not ids and tokenizer.eos_token_id is None:
        raise UserError("an empty prompt needs a tokenizer with an end-of-document token, from which a text begins")
    written = write(model, tokenizer, ids or [tokenizer.eos_token_id], sampling)
    return _until_stop(written, [text for text in stop if text])


def chat(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Mapping[str, str]],
    *,
    max_new_tokens: int = 256,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    stop: Sequence[str] = (),
) -> Iterator[str]:
    """The assistant's next turn; `messages` have a `role` and a `content`. The rest as for `complete`.

    The messages become the tokens that fine-tuning made of them: what a user writes is text, and ends no turn.

    Raises:
        UserError: the tokenizer carries no chat template, or the template refuses the messages.
    """
    sampling = Sampling.checked(max_new_tokens, temperature, top_p, seed)
    if not tokenizer.chat_template:
        raise UserError("this model's tokenizer carries no chat template", hint="use complete instead")
    renderer = ConversationRenderer(tokenizer)
    ends = frozenset() if renderer.end_of_turn is None else frozenset({renderer.end_of_turn})
    written = write(model, tokenizer, renderer.prompt(messages).tolist(), sampling, ends)
    return _until_stop(written, [text for text in stop if text])


def write(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: Sequence[int],
    sampling: Sampling,
    ends: frozenset[int] = frozenset(),
) -> Iterator[str]:
    """The text that follows token ids, until the model ends it or says one of `ends`."""
    return _decoded(tokenizer, _sampled(model, prompt, ends | ends_of(model, tokenizer), sampling))


def window_of(model: PreTrainedModel) -> int:
    """Positions that a model sees; 2048 for those that set themselves no limit."""
    return int(getattr(model.config, "max_position_embeddings", 0)) or 2048


def ends_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens after which a model has said what it had to say."""
    settings = getattr(model, "generation_config", None)  # a third party's class need not have one
    declared = settings.eos_token_id if settings is not None else None
    ends = {*(declared if isinstance(declared, list) else [declared]), tokenizer.eos_token_id}
    turn_end = tokenizer.convert_tokens_to_ids(TURN_END)
    if turn_end != tokenizer.unk_token_id:
        ends.add(turn_end)
    return frozenset(end for end in ends if end is not None)


@torch.inference_mode()
def _sampled(model: PreTrainedModel, prompt: Sequence[int], ends: frozenset[int], sampling: Sampling) -> Iterator[int]:
    """New tokens one by one, over a key-value cache; a model that keeps none reads its context again each time."""
    window = window_of(model)
    generator = torch.Generator().manual_seed(sampling.seed)
    history = list(prompt)
    room = min(sampling.max_new_tokens, window // 2)
    context, cache, cached = history[-(window - room) :], None, 0
    for number in range(sampling.max_new_tokens):
        if cached + len(context) > window:
            context, cache, cached = history[-(window // 2) :], None, 0
        ids_1T = torch.tensor([context], device=model.device)
        output = model(input_ids=ids_1T, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = getattr(output, "past_key_values", None)
        logits_V = output.logits[0, -1].float().cpu()
        if number < sampling.min_new_tokens:
            logits_V[list(ends)] = float("-inf")
        token = _choose(logits_V, sampling, generator)
        if token in ends:
            return
        yield token
        history.append(token)
        if cache is None:
            context.append(token)
        else:
            context, cached = [token], cached + len(context)


def _choose(logits_V: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    if sampling.temperature == 0:
        return int(logits_V.argmax())
    probabilities_V = torch.softmax(logits_V / sampling.temperature, dim=-1)
    if sampling.top_p < 1:
        sorted_V, order_V = probabilities_V.sort(descending=True, stable=True)
        sorted_V[sorted_V.cumsum(0) - sorted_V >= sampling.top_p] = 0.0  # the token that crosses top_p still counts
        return int(order_V[torch.multinomial(sorted_V, 1, generator=generator)])
    return int(torch.multinomial(probabilities_V, 1, generator=generator))


def _decoded(tokenizer: PreTrainedTokenizerBase, tokens: Iterator[int]) -> Iterator[str]:
    """Text as it becomes certain: bytes that do not make a character yet wait for the next token."""
    ids: list[int] = []
    said = 0
    for token in tokens:
        ids.append(token)
        text = str(tokenizer.decode(ids, skip_special_tokens=True))
        if len(text) > said and not text.endswith(INCOMPLETE):
            yield text[said:]
            said = len(text)
    rest = str(tokenizer.decode(ids, skip_special_tokens=True))[said:]
    if rest:
        yield rest


def _until_stop(pieces: Iterator[str], stop: Sequence[str]) -> Iterator[str]:
    """The text before the first stop string; what could be the beginning of one waits until it is known."""
    held = ""
    for piece in pieces:
        held += piece
        found = min((at for text in stop if (at := held.find(text)) >= 0), default=-1)
        if found >= 0:
            if found:
                yield held[:found]
            return
        ready = len(held) - _possible_beginning(held, stop)
        if ready:
            yield held[:ready]
            held = held[ready:]
    if held:
        yield held


def _possible_beginning(text: str, stop: Sequence[str]) -> int:
    """Length of the longest end of `text` with which one of the stop strings begins."""
    return max(
        (size for string in stop for size in range(1, min(len(string), len(text) + 1)) if text.endswith(string[:size])),
        default=0,
    )
