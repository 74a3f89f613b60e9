"""promptship.toml -> typed settings. Unknown keys are errors; every problem of the file is reported at once.

The file stands in the root of the prompt repository. The `[plans]` tables are read from the released commit; everything else
(addresses, providers, approvers) from the file the service was started with, so a push cannot change who may approve.
Secrets are never in the file: it names environment variables.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from promptship.release.duration import Duration
from promptship.release.plan import Plan

Port = Annotated[int, Field(ge=0, le=65535)]
"""TCP port; 0 picks a free one where a server starts."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""Hex digits of a SHA-256."""


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        message = f"expected a regular expression: {error}"
        raise ValueError(message) from None
    return text


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RepositorySettings(_Section):
    """Where the prompts are."""

    url: str = "."
    """Path of the Git repository (bare or not), relative to promptship.toml."""
    branch: str = "main"
    """Pushes to this branch are released."""
    prompts: tuple[str, ...] = ("prompts/**",)
    """Globs of prompt files."""
    suites: str = "suites"
    """Directory of suites."""


class LedgerSettings(_Section):
    """Release state."""

    url: str = ""
    """SQLAlchemy URL; empty: SQLite at `<data_dir>/ledger.db`."""


class TelemetrySettings(_Section):
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


class ServerSettings(_Section):
    """Control plane."""

    host: str = "127.0.0.1"
    port: Port = 4280
    public_url: str = ""
    """How people and gateways reach it; empty: http://host:port."""


class GatewaySettings(_Section):
    """Data plane."""

    host: str = "127.0.0.1"
    port: Port = 4281
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
    applications: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")], Sha256] = Field(
        default={}
    )
    """Name of an application -> sha256 of its key; empty: nobody is asked who he is."""
    prompt_ids: dict[str, Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}(@[0-9a-f]{6,64})?$")]] = (
        Field(default={})
    )
    """What applications call a prompt (`pmpt_123`, `pmpt_123@2`) -> prompt, or prompt@version."""


class PrefectSettings(_Section):
    """Prefect's server, started by `promptship up` or elsewhere."""

    host: str = "127.0.0.1"
    port: Port = 4200
    api_url: str = ""
    """Empty: http://host:port/api."""


Kind = Literal["openai", "anthropic", "azure", "gemini", "bedrock"]
_USUAL: Final[dict[str, dict[str, str]]] = {
    "anthropic": {"base_url": "https://api.anthropic.com", "api_key_env": "ANTHROPIC_API_KEY"},
    "azure": {"api_key_env": "AZURE_OPENAI_API_KEY"},
    "gemini": {"base_url": "https://generativelanguage.googleapis.com", "api_key_env": "GEMINI_API_KEY"},
    "vertex": {
        "base_url": "https://{region}-aiplatform.googleapis.com",
        "api_key_env": "GOOGLE_ACCESS_TOKEN",
        "region": "us-central1",
    },
    "bedrock": {"base_url": "https://bedrock-runtime.{region}.amazonaws.com"},
}
"""What a kind of provider has when the file does not say: addresses, and the variables their vendors use."""
_KINDS_OF: Final = {"api_version": {"azure"}, "project": {"gemini"}, "region": {"bedrock", "gemini"}}
"""Keys that belong to some kinds only."""


class ProviderSettings(_Section):
    """Where models answer, and in which words: any OpenAI-compatible endpoint, or one of the kinds with words of their own."""

    kind: Kind = "openai"
    base_url: str
    """OpenAI: up to and including `/v1`. Azure: the resource. The others have a usual one; `{region}` stands for the region."""
    api_key_env: str = ""
    """Environment variable that holds the key; empty: no key is sent. Kinds other than `openai` have a usual one; `bedrock` takes
    AWS's own variables when it is empty."""
    api_version: str = ""
    """Azure: `api-version` of every call; empty: a current one."""
    project: str = ""
    """Gemini: project of Google Cloud; with it Vertex AI is asked, and the key is an access token."""
    region: str = ""
    """Bedrock: AWS region, empty: `AWS_REGION` of the environment. Gemini with a project: location."""
    timeout: Duration = 60.0
    concurrency_max: Annotated[int, Field(ge=1, le=1000)] = 16
    """Parallel calls of an evaluation."""

    @model_validator(mode="before")
    @classmethod
    def _with_usual(cls, data: Any) -> Any:
        """What the kind usually has, under what is given."""
        if not isinstance(data, dict):
            return data
        kind = "vertex" if data.get("kind") == "gemini" and data.get("project") else data.get("kind")
        return {**_USUAL.get(kind, {}), **data} if isinstance(kind, str) else data

    @field_validator("api_version", "project", "region")
    @classmethod
    def _of_its_kind(cls, value: str, info: ValidationInfo) -> str:
        kind = info.data.get("kind")
        if not value or kind is None:
            return value
        kinds = _KINDS_OF[str(info.field_name)]
        if kind not in kinds:
            raise PydanticCustomError(
                "of_another_kind", f"expected nothing: only kind {' or '.join(sorted(kinds))} has it"
            )
        if info.field_name == "region" and kind == "gemini" and not info.data.get("project"):
            raise PydanticCustomError(
                "of_another_kind", "expected nothing: only Gemini with a project has it"
            )
        return value

    @property
    def secret_envs(self) -> tuple[str, ...]:
        """Every environment variable whose value must never be shown."""
        aws = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK")
        return (self.api_key_env,) if self.api_key_env else aws if self.kind == "bedrock" else ()


class ModelSettings(_Section):
    """What is known about a model; laid over the built-in catalogue."""

    provider: str | None = None
    """Key of `[providers]`; None: the first one."""
    context_tokens: Annotated[int, Field(gt=0)] | None = None
    retires_on: str | None = None
    """ISO date; after it lint refuses the model, 60 days before it lint warns."""
    price_in: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """USD per million tokens read. Price and output price go together; None: the list price, where there is one."""
    price_out: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """USD per million tokens written."""
    price_cached: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """USD per million tokens that the provider read from its cache; None: as `price_in`."""


class EvaluationSettings(_Section):
    """How suites are run."""

    shards: Annotated[int, Field(ge=1, le=64)] = 1
    """Parts a release's suite is split into; each is a Prefect task."""
    dask: str = ""
    """Address of a Dask scheduler, `tcp://host:8786`: shards run there (needs prefect-dask). Empty: in the flow's process."""
    cache: bool = True
    """Keep answers by content under `data_dir`, so that an unchanged baseline is not paid again."""
    spend_max_usd: Annotated[float, Field(gt=0)] | None = None
    """Most that one suite of a release may cost; a suite's own budget, if lower, goes before."""
    allow_unpriced: bool = False
    """Run suites that have a limit of cost also with models whose price is not known: their answers are not counted."""
    stop_early: bool = True
    """End a suite as soon as nothing still to be asked could change its outcome."""


class ScorerSettings(_Section):
    """Online scoring: the process that scores sampled answers. What is scored, and how, is in the plans."""

    samples: str = ""
    """Directory in which gateways leave answers for the scorer; empty: `<data_dir>/samples`."""
    samples_bytes_max: Annotated[int, Field(ge=1_000_000)] = 256_000_000
    """Most that lies there; then gateways drop what is drawn, and count it."""
    samples_age_max: Duration = 3600.0
    """Age at which an answer that nobody scored is deleted by the gateway, seconds."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 16
    """Answers that are scored at the same time."""
    spend_max_usd: Annotated[float, Field(gt=0)] | None = None
    """Most that all judges together may cost per day (UTC)."""
    redact: tuple[Annotated[str, AfterValidator(_pattern)], ...] = ()
    """Regular expressions of what is taken out of texts, beside e-mail addresses, phone and card numbers, IBANs and keys."""


class OtelSettings(_Section):
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


class Approver(_Section):
    """Somebody who may approve."""

    name: str
    email: str = ""
    """Compared with the commit's author."""
    slack: str = ""
    """Slack user id, `U...`."""


class SlackSettings(_Section):
    """Slack; used when a channel is set and the token is in the environment."""

    channel: str = ""
    base_url: str = "https://slack.com/api/"
    token_env: str = "SLACK_BOT_TOKEN"  # noqa: S105 - the name of a variable, not a token
    signing_secret_env: str = "SLACK_SIGNING_SECRET"  # noqa: S105 - the name of a variable


class WatcherSettings(_Section):
    """The resident watcher."""

    every: Duration = 5.0
    """Seconds between looks; must be well below every plan's lease."""
    gate_every: Duration = 60.0
    """Seconds between runs of the telemetry quality gate. A failing one is repeated at every look, and before a verdict takes effect
    (more traffic, rollback, approval) it always runs anew."""
    retry_every: Duration = 60.0
    """Seconds after which a due release that no run has moved gets another run."""
    run_lease: Duration = 30.0
    """Seconds after which a release is free again when the run that moved it died."""


class Settings(_Section):
    """A whole promptship.toml."""

    root: Path = Field(default=Path(), exclude=True)
    """Directory of the file; set by the loader."""
    data_dir: str = ".promptship"
    """State of this machine, relative to the file: ledger, spool, secrets, logs."""
    repository: RepositorySettings = RepositorySettings()
    ledger: LedgerSettings = LedgerSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    server: ServerSettings = ServerSettings()
    gateway: GatewaySettings = GatewaySettings()
    prefect: PrefectSettings = PrefectSettings()
    watcher: WatcherSettings = WatcherSettings()
    providers: dict[str, ProviderSettings] = Field(default_factory=dict)
    models: dict[str, ModelSettings] = Field(default_factory=dict)
    evaluation: EvaluationSettings = EvaluationSettings()
    scorer: ScorerSettings = ScorerSettings()
    otel: OtelSettings = OtelSettings()
    approvers: tuple[Approver, ...] = ()
    slack: SlackSettings = SlackSettings()
    plans: dict[str, Plan] = Field(default_factory=dict)
    """`default` is used by prompts that name no plan."""

    @property
    def data(self) -> Path:
        """Absolute data directory."""
        return (self.root / self.data_dir).resolve()

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return self.ledger.url or f"sqlite:///{self.data / 'ledger.db'}"

    @property
    def spool(self) -> Path:
        """Absolute directory of the spools."""
        return (
            Path(self.root / self.telemetry.spool).resolve() if self.telemetry.spool else self.data / "spool"
        )

    @property
    def samples(self) -> Path:
        """Absolute directory of the answers that wait to be scored."""
        place = self.scorer.samples
        return (self.root / place).resolve() if place else self.data / "samples"

    @property
    def history(self) -> str:
        """Directory or URL of the compacted telemetry."""
        place = self.telemetry.history
        return (
            place
            if "://" in place
            else str((self.root / place).resolve() if place else self.data / "history")
        )

    @property
    def server_url(self) -> str:
        """Base address of the control plane."""
        return self.server.public_url or f"http://{self.server.host}:{self.server.port}"

    @property
    def gateway_url(self) -> str:
        """Base address of the gateway."""
        return f"http://{self.gateway.host}:{self.gateway.port}"

    @property
    def prefect_api_url(self) -> str:
        """Address of Prefect's API."""
        return self.prefect.api_url or f"http://{self.prefect.host}:{self.prefect.port}/api"
