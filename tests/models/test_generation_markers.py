from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.models.chat_template import CHAT_TEMPLATE
from loresmith.models.generation_markers import has_generation_markers, with_generation_markers
from loresmith.models.template_text import TemplateRefusalError, TemplateText, template_text
from tests.models.foreign_templates import CONTINUES, DROPS_SYSTEM, GEMMA, LLAMA_3, MISTRAL, NO_END, SMOLLM2, VARIABLES

Conversation = list[dict[str, Any]]
FAMILIES = {"SmolLM2": SMOLLM2, "Llama 3": LLAMA_3, "Mistral": MISTRAL, "Gemma": GEMMA, "no system": DROPS_SYSTEM}
ENDS = {"SmolLM2": "<|im_end|>", "Llama 3": "<|eot_id|>", "Mistral": "</s>", "Gemma": "<end_of_turn>"}

trl = importlib.util.find_spec("trl")
TRL_TEMPLATES = Path(trl.origin).parent / "chat_templates" if trl is not None and trl.origin else Path("/nowhere")


def rendered(template: str, conversation: Conversation, prompt: bool = False) -> TemplateText | None:
    try:
        return template_text(template, conversation, variables=VARIABLES, generation_prompt=prompt)
    except TemplateRefusalError:
        return None


def marked(template: str) -> str:
    found = with_generation_markers(template, VARIABLES)
    assert found is not None
    return found


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(["\n", " a ", "'", "{{ x }}"])
conversations = st.tuples(st.booleans(), st.lists(texts, min_size=2, max_size=6)).map(
    lambda drawn: (
        [{"role": "system", "content": "Be brief."}] * drawn[0]
        + [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(drawn[1])]
    )
)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=60, deadline=None)
@given(conversation=conversations, prompt=st.booleans())
def test_a_marked_template_renders_the_same_bytes(family: str, conversation: Conversation, prompt: bool) -> None:
    template = FAMILIES[family]
    assert has_generation_markers(marked(template))
    assert not has_generation_markers(template)
    with_markers, without = (rendered(version, conversation, prompt) for version in (marked(template), template))
    assert (with_markers and with_markers.text) == (without and without.text)


@pytest.mark.parametrize("family", ENDS)
def test_an_assistants_turn_is_marked_from_its_first_word_to_its_end(family: str) -> None:
    conversation = [
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": "Behind it,\nleft."},
        {"role": "user", "content": "Thanks"},
        {"role": "assistant", "content": "Welcome."},
    ]
    text = rendered(marked(FAMILIES[family]), conversation)
    assert text is not None
    assert [text.text[start:end] for start, end in text.spans] == [
        f"Behind it,\nleft.{ENDS[family]}",
        f"Welcome.{ENDS[family]}",
    ]


def test_a_template_with_markers_is_left_alone() -> None:
    assert with_generation_markers(CHAT_TEMPLATE) == CHAT_TEMPLATE


@pytest.mark.parametrize(
    "template", [NO_END, CONTINUES.replace("CONDITION", ""), "{{ messages[0].content }}", "{% for"]
)
def test_where_it_cannot_be_told_there_are_no_markers(template: str) -> None:
    assert with_generation_markers(template, VARIABLES) is None


def test_what_falls_outside_the_scheme_is_refused_and_not_marked_wrongly() -> None:
    first = [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Where?"}]
    assert rendered(LLAMA_3, first) is not None  # <s> before the first turn, which is not part of a prompt for one
    assert rendered(marked(LLAMA_3), first) is None


@pytest.mark.skipif(not TRL_TEMPLATES.is_dir(), reason="TRL is not installed")
def test_what_is_marked_is_what_trl_marks_by_hand() -> None:
    agreed = []
    for by_hand in sorted(TRL_TEMPLATES.glob("*_training.jinja")):
        original = by_hand.with_name(by_hand.name.replace("_training", ""))
        template = original.read_text(encoding="utf-8") if original.is_file() else ""
        ours = with_generation_markers(template, VARIABLES)
        conversation = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Behind it."}]
        theirs = rendered(by_hand.read_text(encoding="utf-8"), conversation)
        if ours is None or theirs is None or not theirs.spans:
            continue
        mine = rendered(ours, conversation)
        assert mine is not None
        if mine.text != theirs.text:  # some of theirs add reasoning that the original leaves out
            continue
        ours_marked, theirs_marked = ("".join(text.text[a:b] for a, b in text.spans) for text in (mine, theirs))
        # where the prompt for an answer begins its reasoning, they have that learnt too
        begun = theirs_marked.strip().removesuffix(ours_marked.strip())
        prompted = rendered(template, conversation[:1], prompt=True)
        assert prompted is not None
        assert "Behind it." in ours_marked
        assert prompted.text.strip().endswith(begun.strip()), original.name
        agreed.append(original.stem)
    assert {"qwen2_5", "qwen3_instruct_2507", "llama3", "gemma", "gemma3", "cohere"} <= set(agreed)
