"""An application that knows nothing of Loresmith: it asks a gateway with the `openai` package alone.

export OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=ls-...
python app.py "Where is the oil filter?"
"""

from __future__ import annotations

import sys

import openai


def main(question: str) -> int:
    client = openai.OpenAI()
    try:
        model = next(model.id for model in client.models.list() if not (model.model_extra or {}).get("embeds"))
        stream = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": question}], max_tokens=200, stream=True
        )
        sources = []
        for chunk in stream:
            for choice in chunk.choices:
                print(choice.delta.content or "", end="", flush=True)
                # What Loresmith adds to OpenAI's protocol stands in the same objects.
                sources = (choice.delta.model_extra or {}).get("sources", sources)
        print()
        for source in sources:
            print(f"[{source['number']}] {source['path']}")
    except StopIteration:
        print("this key may ask no model", file=sys.stderr)
        return 1
    except openai.APIStatusError as error:
        print(f"{error.status_code}: {error.message}", file=sys.stderr)
        return 1
    except openai.APIConnectionError:
        print("the gateway cannot be reached", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:]) or "Hello"))
