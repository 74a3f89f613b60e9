"""Secrets leave no text; ordinary words stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.render.redact import MASK, keep_secret, named_secrets, redact, redact_data
from promptship.settings import ProviderSettings, Settings, SlackSettings

SECRETS = [
    "sk-abcdefghijklmnop1234", "sk-proj-abc_DEF-123456789012", "sk-ant-api03-aaaaaaaaaaaaaaaaaaa", "xoxb-123456789012-abcdef",
    "xapp-1-A0123456789-abc", "https://hooks.slack.com/services/T0/B0/xyz", "ghp_abcdefghijklmnopqrst12345",
    "github_pat_11ABCDEFG0abcdefghijkl", "glpat-abcdefghij0123456789", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "AKIAIOSFODNN7EXAMPLE", "AIzaSyA-1234567890abcdefghijklmnopqrst", "hf_abcdefghijklmnopqrstuv",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nAAAA\n-----END RSA PRIVATE KEY-----",
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
def test_well_known_keys_are_masked(secret: str) -> None:
    assert redact(f"before {secret} after") == f"before {MASK} after"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def-1234567", f"Authorization: Bearer {MASK}"),
        ("postgresql://ship:hunter22@db/x", f"postgresql://{MASK}@db/x"),
        ('{"api_key": "abcdef123"}', f'{{"api_key": "{MASK}"}}'),
        ("OPENAI_API_KEY=abcdef123 next", f"OPENAI_API_KEY={MASK} next"),
        ("password: swordfish!", f"password: {MASK}"),
        ("?token=abcdef123&x=1", f"?token={MASK}&x=1"),
    ],
)
def test_named_values_are_masked_and_their_surroundings_stay(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=100000", "tokens_in: 123456789", "4.1% of 11,204 requests; e-value 23.4", "the secret of a kind answer",
        "commit 0123456789abcdef0123456789abcdef01234567", "skip-this-very-long-word-here", "https://example.org/a/b?c=d",
        "prompts/token-budget.yaml:3: variable `name` is not declared", "",
    ],
)  # fmt: skip
def test_ordinary_text_stays(text: str) -> None:
    assert redact(text) == text


def test_values_of_the_variables_that_the_settings_name() -> None:
    settings = Settings(
        providers={
            "a": ProviderSettings(base_url="http://x/v1", api_key_env="A_KEY"),
            "b": ProviderSettings(base_url="http://y"),
        },
        slack=SlackSettings(token_env="S_TOKEN"),
    )
    environ = {
        "A_KEY": "correct horse",
        "S_TOKEN": "battery staple",
        "OTHER": "untouched",
        "SLACK_SIGNING_SECRET": "",
    }
    values = named_secrets(settings, environ)
    assert values == ("correct horse", "battery staple")
    assert redact("a correct horse and a battery staple", known=values) == f"a {MASK} and a {MASK}"


def test_kept_secrets_are_masked_from_then_on_but_not_tiny_ones() -> None:
    assert "Zebra-Crossing-91" in redact("x Zebra-Crossing-91")
    keep_secret("Zebra-Crossing-91", "", "  ", "dev")
    assert redact("x Zebra-Crossing-91 dev") == f"x {MASK} dev"


@given(st.text(max_size=80), st.sampled_from(SECRETS), st.text(max_size=80))
def test_twice_is_once(before: str, secret: str, after: str) -> None:
    once = redact(before + secret + after)
    assert redact(once) == once


def test_nested_data() -> None:
    data = {"a": ["sk-abcdefghijklmnop1234", 1, None], "b": {"c": ("x",)}}
    assert redact_data(data) == {"a": [MASK, 1, None], "b": {"c": ["x"]}}


def test_aws_s_own_variables_are_secrets_of_a_bedrock_provider() -> None:
    bedrock = ProviderSettings.model_validate({"kind": "bedrock"})
    environ = {"AWS_SECRET_ACCESS_KEY": "very/secret", "AWS_SESSION_TOKEN": "token-1", "AWS_REGION": "eu-1"}
    assert named_secrets(Settings(providers={"b": bedrock}), environ) == ("very/secret", "token-1")
