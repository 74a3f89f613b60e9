"""`promptship models` and `promptship retest`, on a repository and a ledger on disk."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from promptship.cli import app
from tests.support.git_place import git_place
from tests.support.model_world import Provider
from tests.support.standin import stand_in

pytestmark = pytest.mark.slow

SETTINGS = """
[providers.sim]
base_url = "{url}/v1"
[models.sim-1]
retires_on = "2099-01-01"
[models.sim-2]
[retest]
trials = 1
"""
SUITE = "cases: [{id: a, messages: [{role: user, content: Greet number 1.}], assert: [{type: icontains, value: hello}]}]\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    provider = Provider()
    with stand_in(provider.answer) as standing:
        files = {"promptship.toml": SETTINGS.format(url=standing.url), "suites/greet.yaml": SUITE}
        _, ports = git_place(tmp_path, files, ["Say hello.", "Say hello nicely."])
        ports.close()
        monkeypatch.chdir(tmp_path)
        yield provider


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.stdout, done.stderr


def told(*words: str) -> Any:
    return json.loads(run(*words, "--json")[1])


def test_what_is_known_of_models(place: Provider) -> None:
    (row,) = told("models", "list")
    assert (row["model"], row["provider"], row["retires_on"], row["prompts"]) == (
        "sim-1",
        "sim",
        "2099-01-01",
        ["greet"],
    )
    assert row["newer"] is None
    place.models |= {"sim-2": None}
    status, said, _ = run("models", "check", "--probe")
    assert (status, said) == (0, "sim: 2 models\n")
    (row,) = told("models", "list")
    assert (row["newer"], row["answered_by"]) == ("sim-2", "sim-1")
    assert "newer" in run("models", "list")[1].splitlines()[0]


def test_a_provider_that_is_down_is_no_clean_bill(place: Provider) -> None:
    place.down = True
    status, _, said = run("models", "check")
    assert status == 3
    assert said.startswith("error: provider sim")


def test_a_re_test_by_hand_and_as_the_flow(place: Provider) -> None:
    assert run("retest", "show") == (0, "no re-test yet\n", "")
    assert told("retest", "show") == []
    status, said, _ = run("retest", "greet", "--model", "sim-2")
    assert status == 1, "one case cannot tell"
    assert "greet" in said
    assert "cannot tell" in said
    (one,) = told("retest", "show")
    assert one["proposals"][0]["why_not"] == "the re-test says cannot tell"
    again = told("retest", "run", "greet", "--model", "sim-2", "--again")
    assert again[0]["id"] != one["id"]
    status, said, _ = run("retest")
    assert (status, said) == (0, "looked for drift of greet on sim-1: nothing new\n")
    assert run("retest") == (0, "", "")
    place.down = True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("retest", "unknown", "--model", "sim-2"),
            "no production prompt to compare: unknown; in production: greet",
        ),
        (("retest", "--model", "sim-2", "--against", "sim-9"), "sim-9"),
        (("retest", "--model", "sim-1"), "no production prompt to compare"),
        (("retest", "show", "zzz"), "no re-test zzz"),
    ],
)
def test_what_is_asked_wrong(place: Provider, words: tuple[str, ...], said: str) -> None:
    status, _, error = run(*words)
    assert status == 2
    assert said in error
