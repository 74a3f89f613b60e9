"""The flows that watch models and re-test prompts, on a real Prefect server, with a real repository and a provider that changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptship import wiring
from promptship.adapters.git import GitRepository
from promptship.adapters.git_propose import GitProposals
from promptship.lifecycle import retests
from promptship.lifecycle.adopting import adopt
from promptship.lifecycle.opening import open_for_push
from tests.support.house import PATH, PROMPT
from tests.support.model_world import SUITE, ModelWorld, model_world
from tests.support.repositories import GitMaker, git

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect's and its libraries' own
]


@contextmanager
def in_git(root: Path) -> Iterator[tuple[ModelWorld, GitMaker]]:
    """The same, with the prompts in a repository on disk."""
    with model_world(root, http=True, trials=1, probes=False) as world:
        maker = GitMaker(root / "repository", bare=False)
        plan = world.house.plan + "[plans.default.regression]\nmargin = 0.3\n"
        files = {
            PATH: PROMPT.format(text="Say hello."),
            "promptship.toml": plan,
            "suites/support.yaml": SUITE,
        }
        commit = maker.commit({path: text.encode() for path, text in files.items()}, author="dev@example.org")
        world.app = replace(
            world.app, repository=GitRepository(maker.path), proposals=GitProposals(maker.path)
        )
        world.house.app = world.app
        if world.app.routes.get("support") is None:
            adopt(world.app, [], ref=commit, actor="person:test")
        with wiring.use(world.app):
            yield world, maker


def test_from_a_new_model_to_the_canary_of_a_release_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promptship.flows.release import release
    from promptship.flows.retest import models, retest
    from promptship.tasks import retest as tasks

    events: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(tasks, "emit_event", lambda event, **more: events.append((event, more)))
    with in_git(tmp_path) as (world, maker):
        assert models() == 0
        world.provider.models |= {"sim-2": None}
        world.provider.fails["sim-1"] = set(range(8))
        assert models() == 1
        ((event, told),) = events
        assert (event, told["payload"]["to"]) == ("promptship.model.appeared", "sim-2")
        assert told["resource"]["prefect.resource.id"] == "promptship.model.sim.sim-1"
        assert retest() == 2, "a re-test, and the first look for drift"
        (done,) = retests.retests(world.app)
        (proposal,) = done.proposals.values()
        (result,) = done.results.values()
        assert done.told_at is not None
        paid = world.provider.asked
        assert retest() == 0
        assert world.provider.asked == paid

        before = git(maker.path, "rev-parse", "main")
        git(maker.path, "update-ref", "refs/heads/main", proposal.commit, before)  # a person merges
        (opened,) = open_for_push(
            world.app, before=before, after=proposal.commit, actor="push:mira@example.org"
        )
        assert release(opened.release_id) == "canary"
        version = world.app.release(opened.release_id).version
        assert version is not None
        assert world.app.routes.version(version).content["model"] == "sim-2"
        kinds = world.house.kinds(opened.release_id)
        assert kinds[:3] == ["requested", "linted", "evaluated"]
        route = world.app.routes.get("support")
        assert route is not None
        assert route.split is not None
        assert (result.prompt, result.version) == ("support", route.stable)


def test_a_provider_that_is_down_fails_the_run_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promptship.errors import Unavailable
    from promptship.flows.retest import models
    from promptship.tasks import retest as tasks

    monkeypatch.setattr(tasks, "emit_event", lambda event, **more: None)
    quick = tasks.watch_models.with_options(retries=0)
    monkeypatch.setattr("promptship.flows.retest.watch_models", quick)
    with in_git(tmp_path) as (world, _):
        models()
        world.provider.down = True
        with pytest.raises(Unavailable):
            models()
        world.provider.down = False
        world.provider.models |= {"sim-2": None}
        assert models() == 1
