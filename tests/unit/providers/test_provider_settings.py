"""`[providers]` of each kind: what it usually has, what it must have, and what belongs to another."""

from __future__ import annotations

from pathlib import Path

import pytest

from promptship.errors import ConfigError
from promptship.settings import ModelSettings, ProviderSettings
from promptship.settings_file import parse_settings


def read(text: str) -> ProviderSettings:
    return parse_settings(f"[providers.p]\n{text}", file="promptship.toml", root=Path()).providers["p"]


@pytest.mark.parametrize(
    ("text", "base_url", "api_key_env"),
    [
        ('base_url = "http://x/v1"', "http://x/v1", ""),
        ('kind = "anthropic"', "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
        ('kind = "anthropic"\nbase_url = "http://x"\napi_key_env = ""', "http://x", ""),
        (
            'kind = "azure"\nbase_url = "https://r.openai.azure.com"',
            "https://r.openai.azure.com",
            "AZURE_OPENAI_API_KEY",
        ),
        ('kind = "gemini"', "https://generativelanguage.googleapis.com", "GEMINI_API_KEY"),
        (
            'kind = "gemini"\nproject = "p"',
            "https://{region}-aiplatform.googleapis.com",
            "GOOGLE_ACCESS_TOKEN",
        ),
        ('kind = "bedrock"\nregion = "eu-west-1"', "https://bedrock-runtime.{region}.amazonaws.com", ""),
    ],
)
def test_what_a_kind_usually_has(text: str, base_url: str, api_key_env: str) -> None:
    settings = read(text)
    assert (settings.base_url, settings.api_key_env) == (base_url, api_key_env)


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("timeout = 1", "providers.p.base_url", 1),
        ('kind = "azure"', "providers.p.base_url", 1),
        ('kind = "claude"\nbase_url = "http://x"', "providers.p.kind", 2),
        ('kind = "anthropic"\nregion = "x"', "providers.p.region", 3),
        ('kind = "anthropic"\nproject = "x"', "providers.p.project", 3),
        ('kind = "gemini"\nregion = "x"', "providers.p.region", 3),
        ('base_url = "http://x"\napi_version = "1"', "providers.p.api_version", 3),
        ('kind = "bedrock"\nprofile = "x"', "providers.p.profile", 3),
    ],
)
def test_what_belongs_to_no_or_another_kind_is_a_problem_with_its_line(
    text: str, key: str, line: int
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert [(problem.key, problem.line) for problem in caught.value.problems] == [(key, line)]


def test_where_secrets_are() -> None:
    assert read('kind = "anthropic"').secret_envs == ("ANTHROPIC_API_KEY",)
    assert "AWS_SECRET_ACCESS_KEY" in read('kind = "bedrock"').secret_envs
    assert read('base_url = "http://x"').secret_envs == ()


def test_a_price_is_no_negative_number() -> None:
    with pytest.raises(ValueError):
        ModelSettings(price_in=-1)
    with pytest.raises(ValueError):
        ModelSettings(price_out=float("inf"))
