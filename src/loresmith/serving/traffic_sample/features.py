"""The features of a request: numbers that show how traffic changes, and not what anybody said."""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from loresmith.serving.traffic_sample.traffic import Traffic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Embedder(Protocol):
    """Makes vectors of texts."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors (texts, dimensions)."""


COLUMNS = pa.schema(
    [
        pa.field("response", pa.string()),
        pa.field("at", pa.string()),
        pa.field("hour", pa.string()),
        pa.field("release", pa.string()),
        pa.field("model", pa.string()),
        pa.field("outcome", pa.string()),
        pa.field("labels", pa.list_(pa.string())),
        pa.field("consent", pa.bool_()),
        pa.field("messages", pa.int32()),
        pa.field("prompt_characters", pa.int64()),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("answer_characters", pa.int64()),
        pa.field("answer_tokens", pa.int64()),
        pa.field("prompt_language", pa.string()),
        pa.field("answer_language", pa.string()),
        pa.field("token_source", pa.string()),
        pa.field("prompt_buckets", pa.list_(pa.uint16())),
        pa.field("prompt_counts", pa.list_(pa.uint32())),
        pa.field("answer_buckets", pa.list_(pa.uint16())),
        pa.field("answer_counts", pa.list_(pa.uint32())),
        pa.field("embedding", pa.list_(pa.float32())),
        pa.field("perplexity", pa.float64()),
        pa.field("refusal", pa.bool_()),
        pa.field("guard_hits", pa.list_(pa.string())),
        pa.field("tool_calls", pa.int32()),
        pa.field("first_token_ms", pa.int64()),
        pa.field("latency_ms", pa.int64()),
        pa.field("tenant", pa.string()),
        pa.field("content", pa.binary()),
        pa.field("priority", pa.uint64()),
        pa.field("seen", pa.int64()),
    ]
)
"""`seen`: how many requests the row's stratum had in all, of which the rows are a sample. `priority`: the random number
by which it was drawn. `content`: encrypted, null unless settings say otherwise. Histograms are sparse: the buckets that
have tokens, and how many each."""

_WORD = re.compile(r"\w+")
_LANGUAGE_CHARACTERS = 4000
_REFUSALS = re.compile(
    r"\s*(i['\u2019]m sorry|i am sorry|sorry,|i can['\u2019]t|i cannot|i['\u2019]m (not able|unable)"
    r"|i am (not able|unable)|as an ai"
    r"|es tut mir leid|ich kann (dir|ihnen|dabei|das|diese)\b|je suis désolé|lo siento)",
    re.IGNORECASE,
)
"""How models begin when they refuse, in a few languages: a sign, not a proof."""


def features(traffic: Traffic, buckets: int, embedder: Embedder | None = None) -> dict[str, Any]:
    """A row of `COLUMNS`, without those that sampling adds.

    Args:
        buckets: into how many tokens are hashed; where the engine tells none, the words are, in lower case.
        embedder: makes the vector of the last thing that was asked.
    """
    prompt = "\n".join(_text(message) for message in traffic.messages)
    asked = next((_text(each) for each in reversed(traffic.messages) if each.get("role") == "user"), prompt)
    by_tokens = bool(traffic.prompt_ids or traffic.answer_ids)
    prompt_counts = _histogram(traffic.prompt_ids if by_tokens else _words(prompt), buckets)
    answer_counts = _histogram(traffic.answer_ids if by_tokens else _words(traffic.answer), buckets)
    return {
        "response": traffic.response,
        "at": traffic.at,
        "hour": traffic.hour,
        "release": traffic.release,
        "model": traffic.model,
        "outcome": traffic.outcome,
        "labels": sorted(set(traffic.labels)),
        "consent": traffic.consent,
        "messages": len(traffic.messages),
        "prompt_characters": len(prompt),
        "prompt_tokens": traffic.prompt_tokens,
        "answer_characters": len(traffic.answer),
        "answer_tokens": traffic.answer_tokens,
        "prompt_language": language_of(asked),
        "answer_language": language_of(traffic.answer),
        "token_source": "tokens" if by_tokens else "words",
        "prompt_buckets": list(prompt_counts),
        "prompt_counts": list(prompt_counts.values()),
        "answer_buckets": list(answer_counts),
        "answer_counts": list(answer_counts.values()),
        "embedding": None if embedder is None else embedder.embed([asked])[0].tolist(),
        "perplexity": perplexity(traffic.log_probabilities),
        "refusal": traffic.outcome == "refused" or _REFUSALS.match(traffic.answer) is not None,
        "guard_hits": sorted(set(traffic.guard_hits)),
        "tool_calls": traffic.tool_calls,
        "first_token_ms": traffic.first_token_ms,
        "latency_ms": traffic.latency_ms,
        "tenant": traffic.tenant,
    }


def language_of(text: str) -> str:
    """The language that most of a text is in, by ISO 639-1; empty where none is sure, as of code and short texts."""
    from loresmith.data.rules.language import language_spans

    sizes: Counter[str] = Counter()
    for span in language_spans(text[:_LANGUAGE_CHARACTERS]):
        sizes[span.language] += span.end - span.start
    return min(sizes, key=lambda name: (-sizes[name], name), default="")


def perplexity(log_probabilities: Sequence[float]) -> float | None:
    """exp of minus the mean log-probability; None without any, or where one is no number."""
    finite = [value for value in log_probabilities if math.isfinite(value)]
    if not finite or len(finite) < len(log_probabilities):
        return None
    return math.exp(min(-sum(finite) / len(finite), 700.0))


def _text(message: Any) -> str:
    """The text of a message; of one in parts, that of its parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))


def _words(text: str) -> list[int]:
    return [zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in _WORD.findall(text.lower())]


def _histogram(tokens: Iterable[int], buckets: int) -> dict[int, int]:
    """How many tokens fall into each bucket, the buckets in order. Fibonacci hashing spreads neighbouring ids."""
    counts: Counter[int] = Counter(
        (token * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) * buckets >> 64 for token in tokens
    )
    return dict(sorted(counts.items()))
