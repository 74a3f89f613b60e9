"""Errors come from other processes: shards on a cluster, workers of the flow."""

import pickle

import pytest

from promptship.errors import ConfigError, InvalidVariables, Problem, PromptshipError, Refused, Unavailable


@pytest.mark.parametrize(
    "error",
    [
        ConfigError([Problem("a.yaml", "key", "got", "expected", "do", 3), Problem("b", "", "x", "y")]),
        InvalidVariables("greet", {"name": "is missing"}),
        Unavailable("down", retry_after_s=3.0, throttled=True),
        Refused("no"),
    ],
)
def test_an_error_is_the_same_after_a_journey(error: PromptshipError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)
