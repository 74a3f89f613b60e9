"""promptship.toml -> typed settings. Unknown keys are errors; every problem of the file is reported at once.

The file stands in the root of the prompt repository. The `[plans]` tables are read from the released commit; everything else
(addresses, providers, approvers) from the file the service was started with, so a push cannot change who may approve.
Secrets are never in the file: it names environment variables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from promptship.release.plan import Duration, Plan

Port = Annotated[int, Field(ge=0, le=65535)]
"""TCP port; 0 picks a free one where a server starts."""


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
    stop_early: bool = True
    """End a suite as soon as nothing still to be asked could change its outcome."""


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
