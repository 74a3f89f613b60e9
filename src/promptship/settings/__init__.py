"""promptship.toml -> typed settings. Unknown keys are errors; every problem of the file is reported at once.

The file stands in the root of the prompt repository. The `[plans]` tables are read from the released commit; everything else
(addresses, providers, approvers) from the file the service was started with, so a push cannot change who may approve.
Secrets are never in the file: it names environment variables.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from promptship.release.environment import PRODUCTION
from promptship.release.plan import Plan
from promptship.settings.announcing import WebhookSettings
from promptship.settings.environments import EnvironmentName, EnvironmentSettings, FreezeSettings
from promptship.settings.hosts import GitHubSettings, GitLabSettings
from promptship.settings.models import (
    EvaluationSettings,
    Kind,
    ModelSettings,
    ProviderSettings,
    ScorerSettings,
)
from promptship.settings.people import GROUP_COUNTS, ApprovalSettings, Approver, SlackSettings
from promptship.settings.repository import LedgerSettings, RepositorySettings
from promptship.settings.retest import RetestSettings
from promptship.settings.running import PrefectSettings, WatcherSettings
from promptship.settings.section import Section
from promptship.settings.serving import GatewaySettings, OtelSettings, ServerSettings, TelemetrySettings

__all__ = [
    "ApprovalSettings",
    "Approver",
    "EnvironmentSettings",
    "EvaluationSettings",
    "FreezeSettings",
    "GatewaySettings",
    "GitHubSettings",
    "GitLabSettings",
    "Kind",
    "LedgerSettings",
    "ModelSettings",
    "OtelSettings",
    "PrefectSettings",
    "ProviderSettings",
    "RepositorySettings",
    "RetestSettings",
    "ScorerSettings",
    "ServerSettings",
    "Settings",
    "SlackSettings",
    "TelemetrySettings",
    "WatcherSettings",
    "WebhookSettings",
]


class Settings(Section):
    """A whole promptship.toml."""

    root: Path = Field(default=Path(), exclude=True)
    """Directory of the file; set by the loader."""
    data_dir: str = ".promptship"
    """State of this machine, relative to the file: ledger, spool, secrets, logs."""
    default_environment: EnvironmentName = PRODUCTION
    """What the environment is called that routes without a named one are of."""
    repository: RepositorySettings = RepositorySettings()
    environments: dict[EnvironmentName, EnvironmentSettings] = Field(default_factory=dict)
    """Beside the default one; that has a table only where it differs from its defaults."""
    freezes: tuple[FreezeSettings, ...] = ()
    github: GitHubSettings = GitHubSettings()
    gitlab: GitLabSettings = GitLabSettings()
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
    retest: RetestSettings = RetestSettings()
    otel: OtelSettings = OtelSettings()
    approvers: tuple[Approver, ...] = ()
    approval: ApprovalSettings = ApprovalSettings()
    slack: SlackSettings = SlackSettings()
    webhooks: tuple[WebhookSettings, ...] = ()
    plans: dict[str, Plan] = Field(default_factory=dict)
    """`default` is used by prompts that name no plan."""

    @property
    def approvers_max(self) -> int:
        """How many people may approve at most; who is in a group of Slack's is known to Slack only."""
        return len(self.approvers) + GROUP_COUNTS * len(self.approval.groups)

    @property
    def data(self) -> Path:
        """Absolute data directory."""
        return (self.root / self.data_dir).resolve()

    @property
    def clone(self) -> Path:
        """Absolute path of the Git repository that is read: `url`, or what is fetched from a remote."""
        place = self.repository
        return self.data / "mirror.git" if place.remote else (self.root / place.url).resolve()

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
