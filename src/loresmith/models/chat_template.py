"""The chat template that Loresmith's own tokenizers carry: ChatML, with tools and generation markers.

```
<|im_start|>system
You answer from the manual.<|im_end|>
<|im_start|>user
Where is the oil filter?<|im_end|>
<|im_start|>assistant
Behind the left panel.<|im_end|>
```

What stands between the generation markers, an assistant's words and the token that ends its turn, is what fine-tuning
learns and what a model writes by itself; transformers hands it out as `return_assistant_tokens_mask`. Rendering a
conversation up to a question, with `add_generation_prompt`, is a prefix of rendering it with the answer.

Tools are told in the system turn, called in the assistant's and answered in a turn of their own, in the form of Hermes
2 Pro and Qwen 2.5, which engines know how to read:

```
<|im_start|>assistant
<tool_call>
{"name": "stock", "arguments": {"part": "OF-12"}}
</tool_call><|im_end|>
<|im_start|>tool
<tool_response>
3
</tool_response><|im_end|>
```

Of the assistant's turn the markers enclose everything but the line that begins it. `reasoning_content`, where a
message has it, stands before the answer between `<think>` and `</think>`.
"""

from __future__ import annotations

from pathlib import Path

from loresmith.errors import UserError

TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"

CHAT_TOKENS = (TURN_START, TURN_END)
"""Special tokens that the template writes; a tokenizer that carries it needs each as one token."""

ROLES = ("system", "user", "assistant", "tool")

CHAT_TEMPLATE = """\
{%- if tools -%}
{{- '<|im_start|>system\\n' -}}
{%- if messages[0].role == 'system' and messages[0].content -%}
{{- messages[0].content ~ '\\n\\n' -}}
{%- endif -%}
{{- '# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\n' -}}
{{- 'You are provided with function signatures within <tools></tools> XML tags:\\n<tools>' -}}
{%- for tool in tools -%}
{{- '\\n' ~ (tool | tojson) -}}
{%- endfor -%}
{{- '\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments ' -}}
{{- 'within <tool_call></tool_call> XML tags:\\n<tool_call>\\n' -}}
{{- '{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call><|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
{%- if message.role not in ['system', 'user', 'assistant', 'tool'] -%}
{{- raise_exception("unknown role '" ~ message.role ~ "'; known: system, user, assistant, tool") -}}
{%- endif -%}
{%- if message.content and message.content is not string -%}
{{- raise_exception("this is a text model: the content of a message is text, not a list of parts") -}}
{%- endif -%}
{%- if message.role == 'assistant' -%}
{{- '<|im_start|>assistant\\n' -}}
{%- generation -%}
{%- if message.reasoning_content -%}
{{- '<think>\\n' ~ message.reasoning_content ~ '\\n</think>\\n\\n' -}}
{%- endif -%}
{{- message.content or '' -}}
{%- for call in message.tool_calls or [] -%}
{%- set function = call.function if call.function is defined else call -%}
{%- set arguments = function.arguments if function.arguments is string else function.arguments | tojson -%}
{{- '\\n' if message.content or not loop.first else '' -}}
{{- '<tool_call>\\n{"name": ' ~ (function.name | tojson) ~ ', "arguments": ' ~ arguments ~ '}\\n</tool_call>' -}}
{%- endfor -%}
{{- '<|im_end|>' -}}
{%- endgeneration -%}
{{- '\\n' -}}
{%- elif message.role == 'tool' -%}
{{- '<|im_start|>tool\\n<tool_response>\\n' ~ (message.content or '') ~ '\\n</tool_response><|im_end|>\\n' -}}
{%- elif not (tools and loop.first and message.role == 'system') -%}
{{- '<|im_start|>' ~ message.role ~ '\\n' ~ (message.content or '') ~ '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def read_chat_template(path: Path) -> str:
    """A chat template from a file.

    Raises:
        UserError: it cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"the chat template cannot be read: {reason}", where=str(path)) from None
