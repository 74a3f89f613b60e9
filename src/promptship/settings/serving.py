"""Control plane, gateway, and what they measure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from promptship.release.duration import Duration
from promptship.settings.section import Port, Section, Sha256

_PROMPT = r"^[a-z0-9][a-z0-9._-]{0,99}$"
"""Names of prompts, and of applications."""


class TelemetrySettings(Section):
    """Spool and rollups."""

    spool: str = ""
    """Directory of the spools; empty: `<data_dir>/spool`."""
    bucket: Duration = 10.0
    """Width of a rollup bucket, seconds."""
    feedback: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")], ...] = (
        "escalated",
        "thumbs_down",
    )
    """Kinds of feedback that applications send: lint refuses a guardrail on any other, because nobody would measure it."""
    baseline_window: Duration = 7 * 86400.0
    """History of the stable version that seeds the statistics."""
    history: str = ""
    """Directory or URL (`s3://bucket/path`) of the compacted telemetry; empty: `<data_dir>/history`."""
    keep_history: Duration = 90 * 86400.0
    """Age at which a file of the history is deleted."""
    keep_spool: Duration = 7 * 86400.0
    """How long a spool file with lines that are no records is kept after the others went into the history."""
    keep_evaluations: Duration = 30 * 86400.0
    """Age at which the files of a release's suites are deleted."""


class ServerSettings(Section):
    """Control plane."""

    host: str = "127.0.0.1"
    port: Port = 4280
    public_url: str = ""
    """How people and gateways reach it; empty: http://host:port."""


class ApplicationSettings(Section):
    """An application that may use the gateway."""

    key_sha256: Sha256
    """Of its key, in hex."""
    prompts: Annotated[tuple[Annotated[str, Field(pattern=_PROMPT)], ...], Field(min_length=1)] | None = None
    """Prompts it may use; none named: all."""


def _application(given: Any) -> Any:
    """A text alone is the hash of the key."""
    return {"key_sha256": given} if isinstance(given, str) else given


class GatewaySettings(Section):
    """Data plane."""

    host: str = "127.0.0.1"
    port: Port = 4281
    environment: str = ""
    """Whose routes it serves; empty: those of the default environment."""
    timeout: Duration = 60.0
    """Deadline of one upstream call."""
    body_bytes_max: Annotated[int, Field(ge=1024)] = 4_000_000
    requests_max: Annotated[int, Field(ge=1)] = 2_000
    """Requests in flight; one more is a 429."""
    held_bytes_max: Annotated[int, Field(ge=1_000_000)] = 256_000_000
    """Bytes of bodies and answers held for requests in flight; more is a 429."""
    connections_max: Annotated[int, Field(ge=1)] = 8_000
    """Open connections of clients, idle ones too."""
    head_timeout: Duration = 10.0
    """For a request's head to arrive, seconds."""
    body_timeout: Duration = 30.0
    """For a request's body to arrive, seconds."""
    applications: dict[
        Annotated[str, Field(pattern=_PROMPT)],
        Annotated[
            ApplicationSettings,
            BeforeValidator(_application, json_schema_input_type=Sha256 | ApplicationSettings),
        ],
    ] = Field(default={})
    """Name of an application -> sha256 of its key, or a table with it and the prompts; empty: nobody is asked who he is."""
    prompt_ids: dict[str, Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}(@[0-9a-f]{6,64})?$")]] = (
        Field(default={})
    )
    """What applications call a prompt (`pmpt_123`, `pmpt_123@2`) -> prompt, or prompt@version."""


class OtelSettings(Section):
    """OpenTelemetry: spans of the gateway, and spans that applications send to it."""

    endpoint: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    """Base address of a collector that takes OTLP/HTTP with JSON, `http://127.0.0.1:4318`; empty: no spans are made."""
    headers_env: str = "OTEL_EXPORTER_OTLP_HEADERS"
    """Environment variable with headers for the collector: `name=value,name=value`."""
    service: Annotated[str, Field(min_length=1)] = "promptship-gateway"
    """`service.name` of the spans."""
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of requests without a `traceparent` that get a span; the others follow their caller's decision."""
    queue_max: Annotated[int, Field(ge=1)] = 20_000
    """Spans that may wait; one more is lost."""
    every: Duration = 1.0
    """Longest time a span waits for others, seconds."""
    timeout: Duration = 10.0
    """Deadline of one call of the collector."""
    intake: bool = True
    """Whether the gateway takes spans of applications at `POST /v1/traces`."""
