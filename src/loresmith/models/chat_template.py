"""The chat template that Loresmith's own tokenizers carry: ChatML, with generation markers.

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
"""

from __future__ import annotations

TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"

CHAT_TOKENS = (TURN_START, TURN_END)
"""Special tokens that the template writes; a tokenizer that carries it needs each as one token."""

ROLES = ("system", "user", "assistant", "tool")

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role not in ['system', 'user', 'assistant', 'tool'] -%}
{{- raise_exception("unknown role '" ~ message.role ~ "'; known: system, user, assistant, tool") -}}
{%- endif -%}
{{- '<|im_start|>' ~ message.role ~ '\\n' -}}
{%- if message.role == 'assistant' -%}
{%- generation -%}{{- message.content ~ '<|im_end|>' -}}{%- endgeneration -%}
{%- else -%}
{{- message.content ~ '<|im_end|>' -}}
{%- endif -%}
{{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""
