"""The release flow as Prefect runs it: real engine, real server, real tasks and suites; the ports are in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from promptship import wiring
from promptship.adapters.memory.repository import MemoryRepository, MemoryTree
from promptship.errors import ConfigError, Problem, Unavailable
from promptship.release.phase import Phase
from tests.support.house import House

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect's and its libraries' own
]


@dataclass
class Moody(MemoryRepository):
    """A repository that raises what it is told to, and counts how often it was asked."""

    mood: Exception | None = None
    asked: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        super().__init__()

    def tree(self, commit: str) -> MemoryTree:
        if self.mood is not None:
            self.asked += 1
            raise self.mood
        return super().tree(commit)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(root=tmp_path, repository=Moody())
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    house.look()
    with wiring.use(house.app):
        yield house


def run(release_id: str) -> str:
    from promptship.flows.release import release

    return release(release_id)


def shown(release_id: str) -> set[str]:
    """Keys of the artifacts about a release, without its id."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        keys = {artifact.key or "" for artifact in client.read_artifacts()}
    return {key.replace(f"-{release_id}", "") for key in keys if release_id in key}


def test_a_release_goes_through_the_flow_to_production(house: House) -> None:
    release = house.push("Say hello twice.")
    assert run(release) == "canary"
    assert house.kinds(release) == ["requested", "linted", "evaluated", "stage_started"]
    assert {"lint", "suite-support"} <= shown(release)

    seq = house.release(release).seq
    assert run(release) == "canary"
    assert house.release(release).seq == seq, "a second run changes nothing"

    house.until(release, "awaiting_approval", bad=0.02)
    assert run(release) == "awaiting_approval"
    assert "canary" in shown(release)
    assert len(house.approvals.cards) == 1
    assert run(release) == "awaiting_approval"
    assert len(house.approvals.cards) == 1

    from promptship.lifecycle.approval import approve

    approve(house.app, release, who="mira", via="cli")
    assert run(release) == "promoted"
    assert house.serving() == house.release(release).version
    assert house.kinds(release)[-1] == "concluded"
    assert house.ledger.verify().problems == ()


def test_a_prompt_that_fails_its_suite_is_rejected_before_any_traffic(house: House) -> None:
    from promptship.adapters.memory.models import ScriptedModels

    def answer(request: object) -> str:
        return "goodbye" if "goodbye" in str(request) else "hello"

    release = house.push("Say goodbye.")
    with wiring.use(replace(house.app, models=ScriptedModels(answer))):
        assert run(release) == "rejected"
    assert house.kinds(release) == ["requested", "linted", "rejected", "concluded"]
    assert "suite-support" in shown(release)


def test_another_run_that_moves_the_release_is_left_alone(house: House) -> None:
    release = house.push("Say hello twice.")
    house.ledger.acquire(f"run:{release}", "another", ttl_s=30, at=house.clock.now())
    assert run(release) == "another run is moving this release"
    assert house.release(release).phase is Phase.REQUESTED


def test_what_is_down_is_retried_as_the_policy_says_then_noted_and_due_later(house: House) -> None:
    from promptship.tasks.policy import RETRIES

    release = house.push("Say hello twice.")
    assert isinstance(house.repository, Moody)
    house.repository.mood = Unavailable("git does not answer")
    assert run(release) == "requested"
    assert house.repository.asked == 1 + RETRIES
    assert house.kinds(release) == ["requested", "stumbled"]
    assert house.release(release).reason == "git does not answer"
    assert (
        house.due_at(release) - house.clock.now()
    ).total_seconds() == house.app.settings.watcher.retry_every
    house.repository.mood = None
    assert run(release) == "canary"


def test_what_is_wrong_is_not_retried_and_ends_the_release_with_the_reason(house: House) -> None:
    release = house.push("Say hello twice.")
    assert isinstance(house.repository, Moody)
    problem = Problem("promptship.toml", "repository.url", "/gone", "expected a Git repository")
    house.repository.mood = ConfigError([problem])
    assert run(release) == "failed"
    assert house.repository.asked == 1
    assert "repository.url" in house.release(release).reason
    assert house.kinds(release) == ["requested", "failed", "concluded"]


def test_a_key_the_provider_refuses_ends_the_release_instead_of_going_in_circles(house: House) -> None:
    from promptship.adapters.memory.models import ScriptedModels
    from promptship.errors import Refused

    models = ScriptedModels(lambda _: Refused("provider sim does not accept the key (401)"))
    release = house.push("Say hello twice.")
    with wiring.use(replace(house.app, models=models)):
        assert run(release) == "failed"
    assert house.release(release).reason == "regress: provider sim does not accept the key (401)"


def test_what_nobody_expected_is_not_retried_but_noted_and_shown_in_prefect(house: House) -> None:
    release = house.push("Say hello twice.")
    assert isinstance(house.repository, Moody)
    house.repository.mood = ValueError("a defect")
    with pytest.raises(ValueError, match="a defect"):
        run(release)
    assert house.repository.asked == 1
    assert house.kinds(release) == ["requested", "stumbled"]
    assert "ValueError" in house.release(release).reason
    house.repository.mood = None
    assert run(release) == "canary"
