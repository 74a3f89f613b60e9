"""The review flow as Prefect runs it: real engine, real server, real tasks and suites; the ports are in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from promptship import wiring
from promptship.errors import Unavailable
from promptship.lifecycle.reviewing import lease
from tests.support.reviewed import Reviewed, changed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect's and its libraries' own
]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Reviewed]:
    here = Reviewed(tmp_path)
    with wiring.use(here.app):
        yield here


def run(head: str) -> str:
    from promptship.flows.review import review

    return review("github", 7, head)


def test_a_pull_request_goes_through_the_flow_once(here: Reviewed) -> None:
    pull = here.pull(changed())
    assert run(pull.head) == "success"
    assert here.mark(pull).outcome == "success"
    assert "| support | support | passes |" in here.comment
    assert run(pull.head) == "nothing to review"


def test_another_run_leaves_it_alone(here: Reviewed) -> None:
    pull = here.pull(changed())
    assert here.app.ledger.acquire(lease("github", 7), "other", ttl_s=60, at=here.app.clock.now())
    assert "another run" in run(pull.head)
    assert here.host.marks == {}


def test_what_stays_down_is_no_verdict(here: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    pull = here.pull(changed())

    def down(*_: object) -> None:
        raise Unavailable("the remote does not answer")

    monkeypatch.setattr(type(here.house.repository), "merge_base", down)
    monkeypatch.setattr("promptship.tasks.review.RETRIES", 0)
    assert run(pull.head) == "neutral"
    assert "the remote does not answer" in here.comment
