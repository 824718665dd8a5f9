"""The engine `openvino`: OpenVINO GenAI's continuous batching, over a model that was exported to OpenVINO's form.

It is an extra, `loresmith[openvino]`. Text and stop strings are made here of its tokens, as for every engine. What it
cannot do is refused: adapters, biases of single tokens, alternatives beside the token that was chosen, and grammars.
"""

from __future__ import annotations

import importlib
import itertools
import json
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loresmith.errors import UserError
from loresmith.serving.engines.admission import require_possible
from loresmith.serving.engines.described_model import describe_model
from loresmith.serving.engines.exported_model import ExportedModel
from loresmith.serving.engines.generation import Chosen, Emission, EngineFacts, FinishReason, Generation
from loresmith.serving.engines.openvino_forms import require_followed
from loresmith.serving.engines.text_stream import TextStream

PIECE = 512
"""Tokens of a step at most, as for the engine `torch`: a long prompt comes in pieces."""


@dataclass
class _Request:
    """A request that waits, or that the pipeline works on."""

    generation: Generation
    config: Any
    text: TextStream
    ends: frozenset[int]
    handle: Any = None
    written: int = 0


class OpenvinoEngine:
    """An engine over OpenVINO GenAI.

    Args:
        directory: the model's folder, for its tokenizer.
        exported: the same model in OpenVINO's form.
        precision: of the exported weights, as its receipt calls it.
        slots: requests at a time.
        window: tokens of prompt and answer together; the model's own at most.
        threads: CPU threads.

    Raises:
        UserError: the extra is not installed, or there is no exported model.
    """

    def __init__(
        self,
        directory: Path,
        exported: ExportedModel,
        *,
        precision: str = "int8",
        slots: int = 32,
        window: int = 4096,
        threads: int = 1,
    ) -> None:
        self._genai, self._openvino = _load()
        if not (exported.directory / "openvino_model.xml").is_file():
            raise UserError(
                "there is no openvino_model.xml",
                where=str(exported.directory),
                hint="docs/engines.md says how to export",
            )
        self._model = describe_model(directory)
        self._has_vocabulary = (exported.directory / "openvino_detokenizer.xml").is_file()
        scheduler = self._genai.SchedulerConfig()
        scheduler.enable_prefix_caching = False  # it would be shared between callers, who could measure it
        scheduler.max_num_seqs = slots
        scheduler.max_num_batched_tokens = PIECE
        scheduler.dynamic_split_fuse = True
        arithmetic = self._arithmetic(precision)
        properties = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": arithmetic,
            "KV_CACHE_PRECISION": arithmetic,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": "64",  # of what is multiplied by int8: twice OpenVINO's own, and faster
        }
        try:
            self._pipeline = self._genai.ContinuousBatchingPipeline(
                str(exported.directory), scheduler, "CPU", properties
            )
        except RuntimeError as error:
            raise UserError(f"OpenVINO cannot load it: {_first_line(error)}", where=str(exported.directory)) from error
        self._numbers = itertools.count()
        self._line: deque[_Request] = deque()
        self._running: dict[str, _Request] = {}
        self.facts = EngineFacts(
            engine="openvino",
            precision=precision,
            window=min(window, self._model.window),
            slots=slots,
            vocabulary_size=self._model.vocabulary_size,
            path="continuous batching",
            version=f"{self._release} in {arithmetic}",  # a receipt for one arithmetic is none for the other
        )

    @property
    def waiting(self) -> int:
        return len(self._line)

    @property
    def running(self) -> int:
        return len(self._running)

    def add(self, generation: Generation) -> None:
        taken = self._running.keys() | {request.generation.id for request in self._line}
        require_possible(generation, self.facts, taken)
        ends = frozenset({*self._model.ends, *generation.ends})
        text = TextStream(self._model.tokenizer, generation.stop)
        self._line.append(_Request(generation, self._config(generation, ends), text, ends))

    def step(self) -> Sequence[Emission]:
        emissions = []
        while self._line and len(self._running) < self.facts.slots:
            request = self._line.popleft()
            refused = self._begin(request)
            if refused is not None:
                emissions.append(refused)
        if not self._running:
            return emissions
        self._pipeline.step()
        for request in list(self._running.values()):
            emission = self._read(request)
            if emission is not None:
                emissions.append(emission)
        return emissions

    def cancel(self, id: str) -> None:
        request = self._running.pop(id, None)
        if request is not None:
            request.handle.cancel()
            self._settle()
        self._line = deque(request for request in self._line if request.generation.id != id)

    def close(self) -> None:
        self._line.clear()
        for id_ in list(self._running):
            self.cancel(id_)
        del self._pipeline

    @property
    def _release(self) -> str:
        return ".".join(str(self._genai.get_version()).split(".")[:2])

    def _arithmetic(self, precision: str) -> str:
        """bf16 where the processor has it, and the weights are rounded further than that."""
        capable = "BF16" in self._openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return "bf16" if capable and precision == "int8" else "f32"

    def _begin(self, request: _Request) -> Emission | None:
        """Hand a request to the pipeline."""
        ids_1T = np.asarray([request.generation.prompt], np.int64)
        try:
            request.handle = self._pipeline.add_request(
                next(self._numbers), self._openvino.Tensor(ids_1T), request.config
            )
        except RuntimeError as error:
            return Emission(id=request.generation.id, finished="refused", error=_first_line(error))
        self._running[request.generation.id] = request
        return None

    def _read(self, request: _Request) -> Emission | None:
        """What the last step made of a request."""
        tokens: list[Chosen] = []
        text = ""
        finish: FinishReason | None = None
        for id_, value in self._new_tokens(request):
            tokens.append(Chosen(id=id_, log_probability=value if _tells(request.generation) else None))
            if id_ in request.ends:
                finish = "stop"
                break
            text += request.text.add(id_)
            if request.text.stopped_by is not None or len(tokens) + request.written >= request.config.max_new_tokens:
                finish = "length"  # or the stop string, of which `_end` knows
                break
        request.written += len(tokens)
        if finish is not None or request.handle.get_status() != self._genai.GenerationStatus.RUNNING:
            return self._end(request, tokens, text, finish)
        return Emission(id=request.generation.id, tokens=tuple(tokens), text=text) if tokens else None

    def _new_tokens(self, request: _Request) -> Iterator[tuple[int, float]]:
        """With their log-probabilities."""
        while request.handle.can_read():
            (output,) = request.handle.read().values()
            values = output.generated_log_probs or [0.0] * len(output.generated_ids)
            yield from zip(map(int, output.generated_ids), map(float, values), strict=True)

    def _end(self, request: _Request, tokens: list[Chosen], text: str, finish: FinishReason | None) -> Emission:
        del self._running[request.generation.id]
        if request.handle.get_status() == self._genai.GenerationStatus.RUNNING:
            request.handle.cancel()
            self._settle()
        if finish is None:
            return Emission(
                id=request.generation.id,
                tokens=tuple(tokens),
                text=text,
                finished="failed",
                error="OpenVINO gave the request up: there was no memory left for it",
            )
        text += request.text.end()
        stopped_by = request.text.stopped_by
        return Emission(
            id=request.generation.id,
            tokens=tuple(tokens),
            text=text,
            finished="stop" if stopped_by is not None else finish,
            stopped_by=stopped_by,
        )

    def _settle(self) -> None:
        """Have the pipeline forget who was cancelled: it does so in its next step, and without others none comes."""
        if not self._running and self._pipeline.has_non_finished_requests():
            self._pipeline.step()

    def _config(self, generation: Generation, ends: frozenset[int]) -> Any:
        """A request's settings in GenAI's words.

        Raises:
            UserError: it has none for what is asked, or the export lacks what that needs.
        """
        sampling = generation.sampling
        _require_known(generation)
        config = self._genai.GenerationConfig()
        config.max_new_tokens = min(generation.max_new_tokens, self.facts.window - len(generation.prompt))
        config.min_new_tokens = min(generation.min_new_tokens, config.max_new_tokens)
        config.stop_token_ids = set(ends)
        if ends:  # otherwise what the export says is one of them, and an export that says nothing ends with token -1
            config.eos_token_id = min(ends)
        config.logprobs = 1 if _tells(generation) else 0
        config.do_sample = sampling.temperature > 0
        if config.do_sample:
            config.temperature = sampling.temperature
            config.top_p = sampling.top_p
            config.min_p = sampling.min_p
            if sampling.top_k:
                config.top_k = sampling.top_k
            config.rng_seed = sampling.seed
        config.presence_penalty = sampling.presence_penalty
        config.frequency_penalty = sampling.frequency_penalty
        config.repetition_penalty = sampling.repetition_penalty
        if generation.constraint is not None:
            config.structured_output_config = self._form(generation)
        return config

    def _form(self, generation: Generation) -> Any:
        constraint = generation.constraint
        assert constraint is not None
        if not self._has_vocabulary:  # found out in a step, it would be the end of all requests
            raise UserError(
                "the export has no openvino_detokenizer.xml, without which answers cannot be held to a form",
                hint="docs/engines.md says how to export",
            )
        require_followed(constraint)
        if constraint.kind == "json_schema":
            return self._genai.StructuredOutputConfig(json_schema=json.dumps(constraint.value))
        return self._genai.StructuredOutputConfig(regex=constraint.value)


def _tells(generation: Generation) -> bool:
    """Whether log-probabilities are told."""
    return generation.scored or generation.alternatives is not None


def _require_known(generation: Generation) -> None:
    asked = {
        "biases of single tokens": bool(generation.sampling.logit_bias),
        "alternatives to the tokens it chose": bool(generation.alternatives),
        "grammars": generation.constraint is not None and generation.constraint.kind == "grammar",
    }
    for what, wanted in asked.items():
        if wanted:
            raise UserError(f"the engine openvino knows no {what}", hint="the engine torch does")


def _load() -> tuple[Any, Any]:
    """OpenVINO GenAI and OpenVINO, without the package by which OpenVINO's tools tell of their use."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino_genai.py_openvino_genai"), importlib.import_module("openvino")
    except ImportError as error:
        raise UserError(
            f"the engine openvino is not installed ({error})", hint="pip install 'loresmith[openvino]'"
        ) from None


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
