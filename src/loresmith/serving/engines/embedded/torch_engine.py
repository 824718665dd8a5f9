"""The engine `torch`: continuous batching (Yu et al., Orca, OSDI 2022) with chunked prefill (Agrawal et al., 2023).

Every step takes one token of each request that writes and fills up with pieces of the prompts of those that do not yet,
so that a long prompt delays nobody's next token by more than PIECE tokens' work. A request that ends gives its slot to
the next in line at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from loresmith.errors import UserError
from loresmith.serving.engines.admission import require_possible
from loresmith.serving.engines.embedded.batch_adapters import add_adapters
from loresmith.serving.engines.embedded.constraint import Constrained, Constraints
from loresmith.serving.engines.embedded.layout import Layout, Segment
from loresmith.serving.engines.embedded.networks import network_for
from loresmith.serving.engines.embedded.prefixes import Slots
from loresmith.serving.engines.embedded.sampler import Chooser, choose
from loresmith.serving.engines.embedded.slot_attention import computed_by
from loresmith.serving.engines.generation import Chosen, Emission, EngineFacts, Generation
from loresmith.serving.engines.text_stream import TextStream

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PIECE = 512
"""Tokens of a step, as far as prompts fill it up."""


@dataclass
class _Request:
    """A request in a slot, or in line for one.

    Attributes:
        ids: its prompt and what was written.
        computed: how many of those the network has seen.
    """

    generation: Generation
    chooser: Chooser
    text: TextStream
    constrained: Constrained | None
    ids: list[int]
    adapter: int
    slot: int = -1
    computed: int = 0
    cached: int = 0
    told_cached: bool = False
    tokens: list[Chosen] = field(default_factory=list)

    @property
    def next_tokens(self) -> int:
        return len(self.ids) - self.computed


class TorchEngine:
    """An engine over a transformers model in this process.

    Args:
        directory: the model, as a Hugging Face directory.
        dtype: that it is computed in.
        device: `cpu` or a CUDA device.
        slots: requests at a time.
        window: tokens of prompt and answer together; the model's own at most.
        adapters: LoRA directories by name.
        base: the digest of the model's asset, which its adapters name; "" where there are none.

    Raises:
        UserError: the model or an adapter cannot be loaded.
    """

    def __init__(
        self,
        directory: Path,
        *,
        dtype: torch.dtype = torch.bfloat16,
        device: str = "cpu",
        slots: int = 32,
        window: int = 4096,
        adapters: Mapping[str, Path] | None = None,
        base: str = "",
    ) -> None:
        from loresmith.models.generate import ends_of, window_of
        from loresmith.models.storage import load_tokenizer, load_weights

        models: list[PreTrainedModel] = []

        def load() -> PreTrainedModel:
            models.clear()  # two have no room
            loaded: Any = load_weights(directory, dtype)
            models[:] = [loaded.to(device)]
            return models[0]

        try:
            self._network = network_for(load, max(slots, 2), window)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"{device} has no memory for it: {str(error).partition('.')[0]}",
                where=str(directory),
                hint="fewer `slots` or a smaller `window` take less, and so does `precision: bf16` instead of fp32",
            ) from None
        model = models[0]
        self._device = torch.device(device)
        self._tokenizer: PreTrainedTokenizerBase = load_tokenizer(directory)
        self._ends = tuple(sorted(ends_of(model, self._tokenizer)))
        vocabulary_size = int(model.config.get_text_config(decoder=True).vocab_size)
        self._constraints = Constraints(self._tokenizer, vocabulary_size, self._ends)
        self._adapters = add_adapters(self._network, adapters or {}, base, dtype)
        self._slots = Slots(slots, reuses=self._network.reuses)
        self._line: deque[_Request] = deque()
        self._running: dict[str, _Request] = {}
        self.facts = EngineFacts(
            engine="torch",
            precision={torch.bfloat16: "bf16", torch.float32: "fp32", torch.float16: "fp16"}[dtype],
            window=min(window, window_of(model)),
            slots=slots,
            vocabulary_size=vocabulary_size,
            path=computed_by(self._network.path, self._device, dtype),
            adapters=tuple(sorted(self._adapters)),
            version=str(torch.__version__),
        )

    @property
    def waiting(self) -> int:
        return len(self._line)

    @property
    def running(self) -> int:
        return len(self._running)

    def add(self, generation: Generation) -> None:
        require_possible(generation, self.facts, self._running.keys() | {one.generation.id for one in self._line})
        constrained = None if generation.constraint is None else self._constraints.make(generation.constraint)
        chooser = Chooser(
            sampling=generation.sampling,
            prompt=np.asarray(generation.prompt, np.int64),
            ends=(*self._ends, *generation.ends),
            min_new_tokens=generation.min_new_tokens,
            alternatives=generation.alternatives,
            scored=generation.scored,
        )
        text = TextStream(self._tokenizer, generation.stop)
        adapter = self._adapters[generation.adapter] if generation.adapter is not None else 0
        self._line.append(_Request(generation, chooser, text, constrained, list(generation.prompt), adapter))

    def step(self) -> Sequence[Emission]:
        self._admit()
        requests = self._chosen_for_step()
        if not requests:
            return []
        layout = Layout([segment for _, segment in requests], self._device)
        logits_SV = self._network.forward(layout)
        by_slot = {request.slot: request for request, _ in requests}
        for segment in layout.segments:
            request = by_slot[segment.slot]
            request.computed = segment.end
            if len(segment.tokens) > 1:
                self._slots.remember(request.slot, request.ids[: request.computed])
        asked = [by_slot[segment.slot] for segment in layout.asked]
        masks = [None if request.constrained is None else request.constrained.mask() for request in asked]
        chosen = choose(logits_SV, [request.chooser for request in asked], masks)
        return [self._take(request, token) for request, token in zip(asked, chosen, strict=True)]

    def cancel(self, id: str) -> None:
        request = self._running.get(id)
        if request is not None:
            self._end(request)
        self._line = deque(request for request in self._line if request.generation.id != id)

    def close(self) -> None:
        self._line.clear()
        self._running.clear()
        del self._network

    def _admit(self) -> None:
        """Give free slots to those in line."""
        while self._line and self._slots.free:
            request = self._line.popleft()
            generation = request.generation
            place = self._slots.take(generation.prompt, generation.scope, generation.adapter)
            if place.source is not None:
                self._network.copy_beginning(place.source, place.slot, place.cached)
            request.slot, request.computed, request.cached = place.slot, place.cached, place.cached
            self._running[generation.id] = request

    def _chosen_for_step(self) -> list[tuple[_Request, Segment]]:
        """Everybody's next token, and pieces of prompts in the order of arrival."""
        chosen = []
        room = PIECE
        for request in sorted(self._running.values(), key=lambda request: request.next_tokens > 1):
            if request.next_tokens == 1:
                room = max(room, 1)  # who writes is never kept waiting by others' prompts
            size = min(request.next_tokens, room) if self._network.pieces else request.next_tokens
            if size < 1:
                continue
            end = request.computed + size
            tokens = request.ids[request.computed : end]
            segment = Segment(request.slot, request.computed, tokens, end == len(request.ids), request.adapter)
            chosen.append((request, segment))
            room -= size
        return chosen

    def _take(self, request: _Request, token: Chosen) -> Emission:
        """One more token of an answer, and what follows from it."""
        generation, chooser = request.generation, request.chooser
        chooser.note(token.id)
        ended = token.id in chooser.ends
        text = "" if ended else request.text.add(token.id)
        if request.constrained is not None and not ended:
            request.constrained.take(token.id)
            ended = request.constrained.complete
        full = chooser.written >= generation.max_new_tokens or len(request.ids) + 1 >= self.facts.window
        stopped = request.text.stopped_by is not None
        request.ids.append(token.id)
        if ended or stopped or full:
            text += request.text.end()
            stopped = request.text.stopped_by is not None
            self._end(request)
        cached, request.told_cached = (0 if request.told_cached else request.cached), True
        return Emission(
            id=generation.id,
            tokens=(token,),
            text=text,
            finished="stop" if ended or stopped else "length" if full else None,
            stopped_by=request.text.stopped_by,
            cached_tokens=cached,
        )

    def _end(self, request: _Request) -> None:
        self._slots.remember(request.slot, request.ids[: request.computed])
        self._slots.give_back(request.slot)
        self._network.forget(request.slot)
        del self._running[request.generation.id]
