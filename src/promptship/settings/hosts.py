"""Where pull and merge requests are: GitHub and GitLab. Secrets are named, never written."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from promptship.settings.section import Section

Address = Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/[^\s?#]*)?$")]
Variable = Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")]


class GitHubSettings(Section):
    """GitHub: signed webhooks, and reviews of pull requests."""

    repository: Annotated[str, Field(pattern=r"^([A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+)?$")] = ""
    """`owner/name`; hooks of other repositories are ignored. Empty: pull requests are not reviewed."""
    api_url: Address = "https://api.github.com"
    """GitHub Enterprise: `https://<host>/api/v3`."""
    token_env: Variable = "GITHUB_TOKEN"  # noqa: S105 - the name of a variable, not a token
    """Environment variable with a token; also used to fetch `[repository] remote` over HTTPS. Not needed with an app."""
    app_id: str = ""
    """Id of a GitHub App; with it a token for its installation is asked for whenever one is needed."""
    app_key_env: Variable = "GITHUB_APP_PRIVATE_KEY"
    """Environment variable with the app's private key, PEM."""
    webhook_secret_env: Variable = "GITHUB_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
    """Environment variable with the webhook's secret; without it hooks of GitHub are refused."""
    forks: bool = False
    """Run suites for pull requests from forks: their scripts, on this machine, with the providers' keys. Lint always runs."""

    @property
    def secret_envs(self) -> tuple[str, ...]:
        """Every environment variable whose value must never be shown."""
        return self.token_env, self.app_key_env, self.webhook_secret_env


class GitLabSettings(Section):
    """GitLab: webhooks with a secret token or a signing key, and reviews of merge requests."""

    project: Annotated[str, Field(pattern=r"^([A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*)?$")] = ""
    """Id, or path with groups: `group/name`; hooks of other projects are ignored. Empty: merge requests are not reviewed."""
    api_url: Address = "https://gitlab.com/api/v4"
    token_env: Variable = "GITLAB_TOKEN"  # noqa: S105 - the name of a variable
    """Environment variable with a project access token of scope `api`; also used to fetch `[repository] remote` over HTTPS."""
    webhook_token_env: Variable = "GITLAB_WEBHOOK_TOKEN"  # noqa: S105 - the name of a variable
    """Environment variable with the webhook's secret token (`X-Gitlab-Token`)."""
    signing_key_env: Variable = "GITLAB_SIGNING_KEY"
    """Environment variable with the webhook's signing token, `whsec_...`. When it is set every hook must be signed with it."""
    forks: bool = False
    """Run suites for merge requests from forks: their scripts, on this machine, with the providers' keys. Lint always runs."""

    @property
    def secret_envs(self) -> tuple[str, ...]:
        """Every environment variable whose value must never be shown."""
        return self.token_env, self.webhook_token_env, self.signing_key_env
