"""One real Prefect server for all tests of flows."""

from collections.abc import Iterator

import pytest

from tests.support.prefect_harness import prefect_harness


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with prefect_harness(tmp_path_factory.mktemp("prefect-home")):
        yield
