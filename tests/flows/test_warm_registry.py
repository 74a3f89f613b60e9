"""A Prefect that keeps its flows elsewhere than we know starts runs cold; the runner works all the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

pytestmark = pytest.mark.slow  # imports Prefect


@pytest.mark.parametrize("runner", [SimpleNamespace(), SimpleNamespace(_deployment_registry=object())])
def test_without_the_register_nothing_fails(runner: Any) -> None:
    from promptship.flows.warm import fork

    fork(runner, uuid4(), SimpleNamespace(name="release"))  # type: ignore[arg-type]


def test_this_prefect_has_the_register() -> None:
    from prefect.runner import Runner

    from promptship.flows.release import release
    from promptship.flows.warm import fork

    runner, deployment = Runner(), uuid4()
    fork(runner, deployment, release)
    assert runner._deployment_registry.get_flow(deployment) is release
