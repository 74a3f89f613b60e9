"""promptship.toml -> typed settings. Unknown keys are errors; every problem of the file is reported at once.

The file stands in the root of the prompt repository. The `[plans]` tables are read from the released commit; everything else
(addresses, providers, approvers) from the file the service was started with, so a push cannot change who may approve.
Secrets are never in the file: it names environment variables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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


class ProviderSettings(_Section):
    """An OpenAI-compatible endpoint."""

    base_url: str
    """Up to and including `/v1`."""
    api_key_env: str = ""
    """Environment variable that holds the key; empty: no key is sent."""
    timeout: Duration = 60.0
    concurrency_max: Annotated[int, Field(ge=1, le=1000)] = 16
    """Parallel calls of an evaluation."""


class ModelSettings(_Section):
    """What is known about a model; laid over the built-in catalogue."""

    provider: str | None = None
    """Key of `[providers]`; None: the first one."""
    context_tokens: Annotated[int, Field(gt=0)] | None = None
    retires_on: str | None = None
    """ISO date; after it lint refuses the model, 60 days before it lint warns."""


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
