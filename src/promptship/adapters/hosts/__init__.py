"""GitHub and GitLab: what their webhooks say, and where reviews of pull requests are told."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from promptship.adapters.git_remote import Remote
from promptship.adapters.hosts.access import AppToken, Token, named
from promptship.adapters.hosts.github import GitHub
from promptship.adapters.hosts.gitlab import GitLab
from promptship.ports import Host
from promptship.settings import Settings


def github_token(settings: Settings, environ: Mapping[str, str]) -> Token:
    """The token of `[github]`: of its app when it has one, otherwise from the environment."""
    here = settings.github
    if here.app_id:
        return AppToken(here.api_url, here.repository, here.app_id, named(environ, here.app_key_env))
    return named(environ, here.token_env)


def hosts_for(settings: Settings, environ: Mapping[str, str]) -> dict[str, Host]:
    """The hosts whose pull requests are reviewed, by name. Nothing is asked before a review needs it."""
    found: dict[str, Host] = {}
    if settings.github.repository:
        token = github_token(settings, environ)
        found["github"] = GitHub(settings.github.api_url, settings.github.repository, token)
    if settings.gitlab.project:
        token = named(environ, settings.gitlab.token_env)
        found["gitlab"] = GitLab(settings.gitlab.api_url, settings.gitlab.project, token)
    return found


def remote_for(settings: Settings, environ: Mapping[str, str]) -> Remote | None:
    """The remote that is mirrored; None: the repository is on this machine.

    A token is for the host of its API only: `api.github.com` stands for `github.com`. Any other address gets none.
    """
    place = settings.repository
    if not place.remote:
        return None
    host = (urlsplit(place.remote).hostname or "") if "://" in place.remote else ""
    token: Token = lambda: ""  # noqa: E731 - one of three
    if host and host == _web_host(settings.github.api_url) and settings.github.repository:
        token = github_token(settings, environ)
    elif host and host == _web_host(settings.gitlab.api_url) and settings.gitlab.project:
        token = named(environ, settings.gitlab.token_env)
    address = place.remote
    if "://" not in address and ":" not in address.partition("/")[0]:
        address = str((settings.root / address).resolve())
    return Remote(address, branch=place.branch, timeout_s=place.fetch_timeout, token=token)


def _web_host(api_url: str) -> str:
    return (urlsplit(api_url).hostname or "").removeprefix("api.")
