"""Spans to a collector by OTLP/HTTP: queued without waiting, sent in batches by a thread, losses counted."""

from __future__ import annotations

import gzip
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

import httpx
import orjson

from promptship.adapters.otel_json import Span, export_request
from promptship.adapters.providers.targets import provider_name
from promptship.errors import ConfigError, Problem
from promptship.settings import ModelSettings, OtelSettings, ProviderSettings

_log = logging.getLogger(__name__)
BATCH_MAX: Final = 256
"""Spans per request: encoding them takes 2 ms, which is how long the requests beside them may have to wait."""
RETRY_S: Final = (0.5, 2.0, 5.0)
"""Waits before a batch is sent again; then it is lost."""
STOP_S_MAX: Final = 5.0
"""How long a stop may go on sending what is queued."""
_AGAIN: Final = frozenset({429, 502, 503, 504})
"""Answers after which OTLP allows to send the same again."""
_PATH: Final = "/v1/traces"
_GEN_AI: Final[Mapping[str, str]] = {
    "anthropic": "anthropic", "azure": "azure.ai.openai", "gemini": "gcp.gemini", "bedrock": "aws.bedrock",
}  # fmt: skip
"""Kind of provider -> its name in the conventions."""
_OPENAI: Final = "https://api.openai.com/"


class Providers:
    """Model -> `gen_ai.provider.name`: the conventions' word, or what the configuration calls the provider."""

    def __init__(
        self, providers: Mapping[str, ProviderSettings], models: Mapping[str, ModelSettings]
    ) -> None:
        self._providers = providers
        self._models = models
        self._known: dict[str, str] = {}

    def __call__(self, model: str) -> str:
        """Empty: no provider is configured for it."""
        if model not in self._known:
            self._known[model] = self._name(model)
        return self._known[model]

    def _name(self, model: str) -> str:
        try:
            name = provider_name(model, self._providers, self._models)
        except ConfigError:
            return ""
        settings = self._providers[name]
        if settings.kind == "openai":
            return "openai" if settings.base_url.startswith(_OPENAI) else name
        return "gcp.vertex_ai" if settings.kind == "gemini" and settings.project else _GEN_AI[settings.kind]


class OtlpSpans:
    """Takes spans from the request path; what the queue or the collector does not take is counted in `lost`.

    Args:
        settings: where to, how many may wait.
        headers: sent with every batch.
        providers: model -> name of its provider.
        client: to the collector; made here if None.
        retry_s: seconds before each new attempt of a batch.
        monotonic: counts how long a stop takes.
    """

    def __init__(
        self,
        settings: OtelSettings,
        *,
        headers: Mapping[str, str],
        providers: Providers,
        client: httpx.Client | None = None,
        retry_s: Sequence[float] = RETRY_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._url = traces_url(settings.endpoint)
        self._providers = providers
        self._retry_s = retry_s
        self._monotonic = monotonic
        self._stop_at = float("inf")
        self._client = client or httpx.Client(timeout=settings.timeout)
        self._headers = {"content-type": "application/json", "content-encoding": "gzip", **headers}
        self._queue: deque[Span] = deque()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._warned = False
        self._overflowed = 0
        self._undelivered = 0

    @property
    def lost(self) -> int:
        """Spans that were offered and did not arrive."""
        return self._overflowed + self._undelivered

    def offer(self, span: Span) -> None:
        """Queue one span. One thread calls this."""
        if len(self._queue) >= self._settings.queue_max:
            self._overflowed += 1
            return
        self._queue.append(span)
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_sending, name="promptship-otel", daemon=True)
            self._thread.start()
        elif len(self._queue) == BATCH_MAX:
            self._wake.set()

    def close(self) -> None:
        """Send what is queued for 5 s, and end at the first batch that the collector does not take; the rest is lost."""
        self._stop_at = self._monotonic() + STOP_S_MAX
        self._closed.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._client.close()

    def _keep_sending(self) -> None:
        while not self._closed.is_set():
            self._wake.wait(self._settings.every)
            self._wake.clear()
            self._flush()
        self._flush()

    def _flush(self) -> None:
        while batch := self._taken():
            try:
                why = self._sent(batch)
            except Exception as error:  # noqa: BLE001 - without the thread every later span would be lost
                why = type(error).__name__
            if why:
                self._lose(len(batch), why)
            if self._closed.is_set() and (why or self._monotonic() > self._stop_at):
                # A collector that is away or slow must not hold up the stop for every batch.
                self._lose(len(self._queue), why or "stopped")
                self._queue.clear()

    def _taken(self) -> list[Span]:
        return [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]

    def _sent(self, batch: Sequence[Span]) -> str:
        """Deliver one batch; what kept it from arriving, or an empty text."""
        told = export_request(batch, service=self._settings.service, provider_of=self._providers)
        body = gzip.compress(told, compresslevel=1)
        why = ""
        for wait in (0.0, *self._retry_s):
            if wait and self._closed.wait(wait):
                return why
            try:
                answer = self._client.post(self._url, content=body, headers=self._headers)
            except httpx.HTTPError as error:
                why = type(error).__name__
                continue
            if answer.is_success:
                self._refused(answer)
                return ""
            why = f"status {answer.status_code}"
            if answer.status_code not in _AGAIN:
                return why
        return why

    def _refused(self, answer: httpx.Response) -> None:
        """Count what a collector took only in part."""
        try:
            partial = orjson.loads(answer.content or b"{}").get("partialSuccess") or {}
            count = int(partial.get("rejectedSpans") or 0)
        except (ValueError, TypeError, AttributeError):
            return  # not JSON: nothing was said
        if count > 0:
            self._lose(count, "refused by the collector")

    def _lose(self, count: int, why: str) -> None:
        self._undelivered += count
        if count and not self._warned:
            self._warned = True
            _log.warning("spans do not reach the collector (%s): see spans_lost of /healthz", why)


def spans_of(
    settings: OtelSettings,
    providers: Mapping[str, ProviderSettings],
    models: Mapping[str, ModelSettings],
    env: Mapping[str, str],
) -> OtlpSpans | None:
    """The exporter of these settings; None: spans are off.

    Raises:
        ConfigError: the variable with the headers does not hold headers.
    """
    if not settings.endpoint:
        return None
    headers = headers_of(settings.headers_env, env.get(settings.headers_env, ""))
    return OtlpSpans(settings, headers=headers, providers=Providers(providers, models))


def traces_url(endpoint: str) -> str:
    """Where traces go: an address that ends in `/v1/traces` as it is, any other with that added."""
    base = endpoint.rstrip("/")
    return base if base.endswith(_PATH) else base + _PATH


def headers_of(variable: str, value: str) -> dict[str, str]:
    """Headers as OpenTelemetry's variables hold them: `name=value,name=value`, values percent-encoded.

    Raises:
        ConfigError: it is something else. The value is not repeated: it may be a key.
    """
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        name, equals, text = part.partition("=")
        if not equals or not name.strip():
            raise ConfigError(
                [Problem("environment", variable, "not a list of headers", "expected name=value,name=value")]
            )
        found[name.strip().lower()] = unquote(text.strip())
    return found
