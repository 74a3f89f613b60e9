"""A fleet: Prefect on PostgreSQL and Redis, two workers, the ledger on PostgreSQL; what is lost and cancelled on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from promptship.flows.fleet import MEND, ZOMBIES
from promptship.lifecycle.approval import approve
from promptship.lifecycle.ending import cancel
from promptship.lifecycle.opening import open_release
from promptship.lifecycle.pausing import pause, resume
from tests.support.fleet import Fleet, fleet, wait_for
from tests.support.online_stack import free_ports

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(560), pytest.mark.xdist_group("up")]
ONCE = ("requested", "linted", "evaluated", "approval_requested", "approved", "promoted")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet"), *free_ports(1)) as stack:
        wait_for(lambda: stack.online() == set(stack.workers), "both workers to poll")
        yield stack


def opened(stack: Fleet, prompt: str, ref: str = "main") -> str:
    return open_release(stack.app, prompt=prompt, ref=ref, actor="person:test").release_id


def names(stack: Fleet) -> list[str]:
    app = stack.app
    tree = app.repository.tree(app.repository.resolve("main").id)
    return sorted(path for path in tree.files() if path.startswith("prompts/"))


def test_releases_are_split_over_the_workers_and_promoted(stack: Fleet) -> None:
    releases = [opened(stack, path) for path in names(stack)]
    for one in releases:
        reaches(stack, one, "awaiting_approval")
        suspended(stack, one)
    wait_for(lambda: not stack.flow_processes(), "no process to be held by what waits for people")

    support = names(stack).index("prompts/support.yaml")
    stack.push("1-better", "support: answer in numbered steps")
    newer = opened(stack, "prompts/support.yaml")
    wait_for(lambda: "stumbled" in kinds(stack, newer), "the newer release to find its prompt taken")

    held = pause(stack.app, releases[0], actor="person:test", reason="freeze")
    assert held.is_paused
    for one in releases:
        approve(stack.app, one, who="mira", via="cli")
    for one in releases[1:]:
        reaches(stack, one, "promoted")
    assert stack.in_phase(releases[0], "approved"), "paused"
    resume(stack.app, releases[0], actor="person:test")
    reaches(stack, releases[0], "promoted")

    took = {name: executed(stack, name) for name in stack.workers}
    assert all(took.values()), took
    for one in releases:
        assert [kind for kind in kinds(stack, one) if kind in ONCE] == list(ONCE)
    reaches(stack, newer, "canary")
    one_release_at_a_time(stack, releases[support], newer)
    cancelled_in_prefect(stack, newer)
    assert stack.app.ledger.verify().problems == ()


def reaches(stack: Fleet, release: str, phase: str) -> None:
    wait_for(lambda: stack.in_phase(release, phase), f"{release} to be {phase}")


def suspended(stack: Fleet, release: str) -> str:
    """Id of the one run of a parked release."""
    (run,) = wait_for(lambda: stack.runs(release, "PAUSED"), f"the run of {release} to be suspended")
    return str(run["id"])


def kinds(stack: Fleet, release: str) -> list[str]:
    return [event.fact.kind for event in stack.app.ledger.events(release)]


def executed(stack: Fleet, worker: str) -> set[str]:
    """Releases that a worker has run, from its log."""
    log = (stack.place / "logs" / f"worker-{worker}.log").read_text(errors="replace")
    return set(re.findall(r"Flow run '(r-[a-z0-9-]+)' submitted to infrastructure", log))


def one_release_at_a_time(stack: Fleet, first: str, second: str) -> None:
    """The second was linted, which takes the prompt, only after the first had ended."""
    ended = next(event.at for event in stack.app.ledger.events(first) if event.fact.kind == "promoted")
    began = next(event.at for event in stack.app.ledger.events(second) if event.fact.kind == "linted")
    assert ended <= began


def cancelled_in_prefect(stack: Fleet, release: str) -> None:
    """The parked run is cancelled as on Prefect's page: the canary's traffic goes back."""
    prompt = stack.app.release(release).prompt
    route = stack.app.routes.get(prompt)
    assert route is not None
    assert route.split is not None
    run = suspended(stack, release)
    stack.cancel_as_the_page_does(run)
    reaches(stack, release, "cancelled")
    route = stack.app.routes.get(prompt)
    assert route is not None
    assert route.split is None
    assert run in stack.app.release(release).reason


def test_the_automations_are_installed_once(stack: Fleet) -> None:
    stack.ship("fleet", "setup")
    stack.ship("fleet", "setup")
    found = [one["name"] for one in stack.prefect.post("/automations/filter", json={}).json()]
    assert {MEND, ZOMBIES} <= set(found)
    assert len(found) == len(set(found)), "two workers set up at once"


def test_prefects_database_is_lost_and_releases_go_on(stack: Fleet) -> None:
    if stack.app.routes.get("support") is None:  # nothing was promoted on this stack before
        stack.ship("adopt", "--ref", "main")
    stack.push("2-be-concise", "support: be concise")
    release = opened(stack, "prompts/support.yaml")
    reaches(stack, release, "canary")
    suspended(stack, release)
    stack.lose_prefect_database()
    wait_for(lambda: stack.online() == set(stack.workers), "the workers to set up an empty Prefect")
    cancel(stack.app, release, actor="person:test", reason="seen enough")
    wait_for(lambda: "concluded" in kinds(stack, release), "the end to be told by a run in the new database")
    (run,) = stack.runs(release)
    assert run["state_type"] in {"RUNNING", "COMPLETED"}
