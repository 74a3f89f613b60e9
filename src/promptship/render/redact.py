"""The one redactor: free text passes through it before any log, ledger, Slack or artifact write.

Three kinds of secrets are recognised: well-known key formats, `name=value` pairs whose name says secret, and values that this
process was told about with `keep_secret` (those of the environment variables that promptship.toml names).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from promptship.settings import Settings

MASK: Final = "[redacted]"
_KNOWN_LENGTH_MIN: Final = 6
"""Shorter values (an empty variable, `dev`) would black out ordinary words."""

_known: set[str] = set()

_NAME: Final = (
    r"(?:[A-Za-z0-9_-]*(?:api[_-]?key|access[_-]?key|secret|token|passwd|password|private[_-]?key))"
)
_PATTERNS: Final = tuple(
    re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    for pattern, ignore_case in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", False),
        (r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}", False),  # OpenAI, Anthropic, Langfuse
        (r"\bxox[a-z]-[A-Za-z0-9-]{10,}", False),  # Slack tokens
        (r"\bxapp-[A-Za-z0-9-]{10,}", False),
        (r"https://hooks\.slack(?:-gov)?\.com/[A-Za-z0-9/_-]+", False),
        (r"\bgh[pousr]_[A-Za-z0-9]{20,}", False),  # GitHub
        (r"\bgithub_pat_[A-Za-z0-9_]{20,}", False),
        (r"\bglpat-[A-Za-z0-9_-]{16,}", False),  # GitLab
        (r"\bwhsec_[A-Za-z0-9+/=]{16,}", False),  # Standard Webhooks
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", False),  # AWS
        (r"\bAIza[A-Za-z0-9_-]{30,}", False),  # Google
        (r"\bhf_[A-Za-z0-9]{20,}", False),  # Hugging Face
        (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", False),  # JSON Web Token
        (r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)", False),  # user:password in an address
        (r"(?<=\bbearer )[A-Za-z0-9._~+/=-]{8,}", True),
        (r"(?<=\bbasic )[A-Za-z0-9+/=]{8,}", True),
    )
)
_PAIR: Final = re.compile(rf"\b({_NAME}[\"']?\s*[:=]\s*[\"']?)([^\s\"',;&)}}\]]{{6,}})", re.IGNORECASE)


def keep_secret(*values: str) -> None:
    """From now on these exact values are masked in this process, whatever they look like. Blank and tiny ones are left out."""
    _known.update(value for value in values if len(value.strip()) >= _KNOWN_LENGTH_MIN)


def named_secrets(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Values of every environment variable that the settings name as the place of a secret."""
    names = [name for provider in settings.providers.values() for name in provider.secret_envs]
    names += [
        settings.slack.token_env,
        settings.slack.signing_secret_env,
        settings.slack.app_token_env,
        settings.otel.headers_env,
    ]
    names += [webhook.secret_env for webhook in settings.webhooks if webhook.secret_env]
    names += [*settings.github.secret_envs, *settings.gitlab.secret_envs]
    return tuple(environ[name] for name in names if environ.get(name))


def redact(text: str, *, known: Iterable[str] = ()) -> str:
    """`text` with every secret replaced by `[redacted]`. Doing it twice changes nothing."""
    for value in sorted(
        {*_known, *known}, key=len, reverse=True
    ):  # a longer secret may contain a shorter one
        text = text.replace(value, MASK)
    for pattern in _PATTERNS:
        text = pattern.sub(MASK, text)
    return _PAIR.sub(_masked_pair, text)


def redact_data(value: Any) -> Any:
    """The same for every string in nested dicts and lists; keys stay."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: redact_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_data(item) for item in value]
    return value


def _masked_pair(match: re.Match[str]) -> str:
    return match[0] if match[2].startswith(MASK[:-1]) else match[1] + MASK
