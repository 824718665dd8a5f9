"""Figures for Prometheus, and what makes spans for OpenTelemetry. Neither holds a word of what is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from loresmith.serving.gateway.spans import Spans

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Telemetry:
    """The figures of one gateway.

    Args:
        say: as of `Spans`.

    Attributes:
        spans: of its requests.
    """

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry(auto_describe=True)
        here: dict[str, Any] = {"registry": self.registry, "namespace": "loresmith"}
        self.requests = Counter("requests", "Requests that were answered.", ["route", "model", "status"], **here)
        self.rejected = Counter("rejected", "Requests without a good credential.", **here)
        self.unread = Counter(
            "unread",
            "Requests that were refused before anybody decided about them: no record has them.",
            ["status"],
            **here,
        )
        self.tokens = Counter("tokens", "Tokens of prompts and answers.", ["model", "kind"], **here)
        self.verdicts = Counter("guard_verdicts", "What guards found.", ["guard", "where", "action"], **here)
        self.asks_human = Counter("asks_human", "Requests in which a guard asked for a person.", ["model"], **here)
        self.first_token = Histogram(
            "first_token_seconds", "From a request to its first token.", ["model"], buckets=_SECONDS, **here
        )
        self.latency = Histogram(
            "request_seconds", "From a request to the end of its answer.", ["route"], buckets=_SECONDS, **here
        )
        self.at_work = Gauge("requests_at_work", "Requests that are answered now.", ["model"], **here)
        self.ready = Gauge("ready", "Whether the gateway answers: 1 or 0.", **here)
        self.in_trouble = Gauge(
            "in_trouble",
            "Models, embedders and issuers with which something is amiss; the log says what.",
            ["name"],
            **here,
        )
        self.engine_starts = Gauge("engine_starts", "How often an engine was started.", ["model"], **here)
        self.sample_trouble = Gauge(
            "traffic_sample_trouble", "Whether the traffic sample cannot be written: 1 or 0.", **here
        )
        self.sample_lost = Gauge(
            "traffic_sample_lost", "Requests that were drawn for the traffic sample and could not be kept.", **here
        )
        self.spans = Spans(say)

    def show_trouble(self, names: Iterable[str]) -> None:
        """Have these names, and no others, in the figures of what is amiss."""
        self.in_trouble.clear()
        for name in names:
            self.in_trouble.labels(name).set(1)

    def text(self) -> bytes:
        """The figures in Prometheus' format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)
