"""What an engine answers to the prompts: all at once, and some of them again alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from loresmith.errors import Failure, LoresmithError
from loresmith.serving.engines.engine import Engine
from loresmith.serving.engines.generation import Chosen, EngineFacts, Generation, Sampling
from loresmith.serving.engines.host import EngineHost
from loresmith.serving.parity.prompts import ParityPrompt

NEW_TOKENS = 32
"""Of an answer, at most: enough for positions to drift apart where they are counted wrongly."""

ALONE = 4
"""Every so manieth prompt is asked again with nothing else under way."""


@dataclass
class EngineAnswer:
    """What an engine answered to one prompt."""

    tokens: list[Chosen] = field(default_factory=list)
    finished: str | None = None
    error: str | None = None


Ask = Callable[[Sequence[Generation]], Mapping[str, EngineAnswer]]
"""Puts requests to an engine at the same time, and waits for all answers."""


@dataclass(frozen=True)
class Answered:
    """Everything that an engine answered.

    Attributes:
        together, alone: by adapter (None: the model alone) and the prompt's name.
    """

    facts: EngineFacts
    prompts: tuple[ParityPrompt, ...]
    left_out: Mapping[str, str]
    together: Mapping[tuple[str | None, str], EngineAnswer]
    alone: Mapping[tuple[str | None, str], EngineAnswer]


def ask_all(
    ask: Ask,
    facts: EngineFacts,
    prompts: Sequence[ParityPrompt],
    left_out: Mapping[str, str],
    say: Callable[[str], None] = lambda _: None,
) -> Answered:
    """Ask an engine, greedily, for the model and each of its adapters at the same time; then some again alone."""
    adapters = (None, *facts.adapters)
    requests = {
        f"{place}": (adapter, prompt)
        for place, (prompt, adapter) in enumerate((prompt, adapter) for prompt in prompts for adapter in adapters)
    }
    say(f"asking {facts.engine} {len(requests)} prompts at once")
    together = ask([_generation(id_, adapter, prompt) for id_, (adapter, prompt) in requests.items()])
    again = list(requests.items())[:: ALONE * len(adapters)]
    say(f"asking {len(again)} of them again, one after the other")
    alone: dict[str, EngineAnswer] = {}
    for id_, (adapter, prompt) in again:
        alone |= ask([_generation(id_, adapter, prompt)])

    def named(answers: Mapping[str, EngineAnswer]) -> dict[tuple[str | None, str], EngineAnswer]:
        return {(requests[id_][0], requests[id_][1].name): answer for id_, answer in answers.items()}

    return Answered(facts, tuple(prompts), dict(left_out), named(together), named(alone))


def asking_engine(engine: Engine) -> Ask:
    """Of an engine in this process."""

    def ask(generations: Sequence[Generation]) -> Mapping[str, EngineAnswer]:
        answers = {generation.id: EngineAnswer() for generation in generations}
        for generation in generations:
            try:
                engine.add(generation)
            except LoresmithError as error:
                answers[generation.id].error = str(error)
        while engine.waiting or engine.running:
            for emission in engine.step():
                answer = answers[emission.id]
                answer.tokens += emission.tokens
                answer.finished, answer.error = emission.finished, emission.error
        return answers

    return ask


def asking_host(host: EngineHost, runner: asyncio.Runner) -> Ask:
    """Of an engine in a process of its own, as the gateway runs it."""

    async def one(generation: Generation) -> EngineAnswer:
        answer = EngineAnswer()
        try:
            async for emission in host.generate(generation):
                answer.tokens += emission.tokens
                answer.finished = emission.finished
        except Failure as error:
            answer.error = str(error)
        except LoresmithError as error:
            answer.error = error.what
        return answer

    async def all_(generations: Sequence[Generation]) -> Mapping[str, EngineAnswer]:
        answers = await asyncio.gather(*(one(generation) for generation in generations))
        return {generation.id: answer for generation, answer in zip(generations, answers, strict=True)}

    return lambda generations: runner.run(all_(generations))


def _generation(id_: str, adapter: str | None, prompt: ParityPrompt) -> Generation:
    return Generation(
        id=id_,
        prompt=prompt.ids,
        max_new_tokens=NEW_TOKENS,
        sampling=Sampling(temperature=0),
        alternatives=0,
        adapter=adapter,
    )
