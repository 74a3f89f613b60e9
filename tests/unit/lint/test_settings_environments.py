"""Environments and freezes in promptship.toml: what does not fit is named with its line, all of it at once."""

from pathlib import Path

import pytest

from promptship.errors import ConfigError
from promptship.settings_file import parse_settings

WRONG = [
    ('[environments.Staging]\nbranch = "s"', "environments"),
    ('[environments.staging]\nafter = "dev"', "environments.staging.after is 'dev'; expected the name of an environment"),
    ('[environments.staging]\nafter = "staging"', "expected no circle"),
    ('[environments.a]\nafter = "b"\n[environments.b]\nafter = "a"', "expected no circle"),
    ('[environments.staging]\napprovers = ["noor"]', "environments.staging.approvers is noor"),
    ("[environments.staging]\napprovers = []", "environments.staging.approvers"),
    ('[environments.production]\nplan = "quick"', "the default environment has the plans that prompts name"),
    ('[gateway]\nenvironment = "staging"', "gateway.environment is 'staging'"),
    ('[[freezes]]\nname = "a"', "expected `since` and `until`, or `weekly`"),
    ('[[freezes]]\nname = "a"\nsince = 2026-12-20T00:00:00\nuntil = 2027-01-01T00:00:00Z', "timezone"),
    ('[[freezes]]\nname = "a"\nsince = 2027-12-20T00:00:00Z\nuntil = 2027-01-01T00:00:00Z', "not after `since`"),
    ('[[freezes]]\nname = "a"\nweekly = { days = [] }', "freezes[0].weekly.days"),
    ('[[freezes]]\nname = "a"\nweekly = { days = ["sat"], begin = "24:00" }', "freezes[0].weekly.begin"),
    ('[[freezes]]\nname = "a"\nweekly = { days = ["sat"], begin = "10:00", end = "09:00" }', "begin before end"),
    ('[[freezes]]\nname = "a"\nweekly = { days = ["sat"], zone = "Mars" }', "time zone"),
    ('[[freezes]]\nname = "a"\nweekly = { days = ["sat"] }\nenvironments = ["prod"]', "freezes[0].environments is 'prod'"),
    (
        '[[freezes]]\nname = "a"\nweekly = { days = ["sat"] }\n[[freezes]]\nname = "a"\nweekly = { days = ["sun"] }',
        "name each freeze once",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_does_not_fit_is_one_clear_error(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_settings(text, file="promptship.toml", root=Path())
    assert said in str(error.value)
    assert "promptship.toml:" in str(error.value)


def test_the_default_environment_may_be_called_otherwise() -> None:
    text = 'default_environment = "live"\n[environments.live]\nafter = "staging"\n[environments.staging]\n[gateway]\nenvironment = "live"\n'
    settings = parse_settings(text, file="promptship.toml", root=Path())
    assert settings.environments["live"].after == "staging"
    weekend = '[[freezes]]\nname = "weekend"\nweekly = { days = ["sat", "sun"], zone = "Europe/Berlin" }\n'
    (freeze,) = parse_settings(weekend, file="promptship.toml", root=Path()).freezes
    assert freeze.weekly is not None
    assert (freeze.weekly.begin, freeze.weekly.end) == ("00:00", "24:00")
