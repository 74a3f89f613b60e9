"""A release whose suites are run in shards: real engine, real server, real tasks; threads instead of a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptship import wiring
from promptship.adapters.providers import HttpModels
from promptship.settings import EvaluationSettings
from tests.support.house import House
from tests.support.shards import CASES, SUITE, hello, pass_rates
from tests.support.standin import Asked, Said, StandIn, stand_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # Prefect's and its libraries' own
]
TRIALS = CASES * 3 * 2


@contextmanager
def house(root: Path, answer: Any, **evaluation: Any) -> Iterator[tuple[House, StandIn]]:
    """Everything in memory but a provider on loopback."""
    with stand_in(answer) as provider:
        house = House(root=root)
        sim = house.app.settings.providers["sim"].model_copy(update={"base_url": f"{provider.url}/v1"})
        changes = {"providers": {"sim": sim}, "evaluation": EvaluationSettings(**evaluation)}
        settings = house.app.settings.model_copy(update=changes)
        models = HttpModels(settings.providers, settings.models, {})
        house.app = replace(house.app, settings=settings, models=models)
        house.adopt()
        with wiring.use(house.app):
            yield house, provider


def run(release_id: str) -> str:
    from promptship.flows.release import release

    return release(release_id)


def verdict_of(root: Path, answer: Any, **evaluation: Any) -> tuple[dict[str, Any], list[str], int]:
    """Of a whole run of the flow: the verdict, what happened, and how many answers were paid."""
    root.mkdir()
    with house(root, answer, **evaluation) as (whole, provider):
        release_id = whole.push("Say hello now.", **{"suites/support.yaml": SUITE})
        run(release_id)
        verdict: Any = whole.release(release_id).suite_verdict
        for suite in verdict["suites"]:
            for arm in ("candidate", "stable"):
                suite[arm].pop("latency_ms_median")
        return verdict, whole.kinds(release_id), len(provider.asked)


def worse(asked: Asked) -> Said:
    """The candidate forgets every second greeting."""
    text = asked.body.decode()
    said = hello(asked)
    if "hello now" in text and any(f"number {number}" in text for number in range(0, CASES, 2)):
        said.content["choices"][0]["message"]["content"] = "no"
    return said


def test_shards_come_to_the_same_verdict_at_the_same_price(tmp_path: Path) -> None:
    whole = verdict_of(tmp_path / "whole", worse, stop_early=False)
    parts = verdict_of(tmp_path / "parts", worse, shards=3)
    assert parts == whole
    assert whole[2] == TRIALS
    assert pass_rates(whole[0]) != [(1.0, 1.0)]
    assert whole[1] == ["requested", "linted", "rejected", "concluded"]


def test_prefect_shows_the_shards_and_the_reports(tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    with house(tmp_path, hello, shards=3) as (whole, _), get_client(sync_client=True) as client:

        def flows() -> int:
            return len([one for one in client.read_flow_runs() if one.parent_task_run_id is not None])

        release_id = whole.push("Say hello now.", **{"suites/support.yaml": SUITE})
        before = flows()
        assert run(release_id) == "canary"
        assert run(release_id) == "canary", "a second run splits nothing"
        assert flows() == before + 1
        keys = {one.key for one in client.read_artifacts() if one.key and release_id in one.key}
    assert {f"suite-{release_id}-support", f"suite-gate-{release_id}-support"} <= keys


def test_a_shard_that_cannot_be_asked_ends_the_release_with_the_reason(tmp_path: Path) -> None:
    with house(tmp_path, lambda _: Said(status=401, content={}), shards=2) as (whole, _):
        release_id = whole.push("Say hello now.", **{"suites/support.yaml": SUITE})
        assert run(release_id) == "failed"
        assert whole.release(release_id).reason.startswith("regress: provider sim")
        assert whole.kinds(release_id) == ["requested", "linted", "failed", "concluded"]


def test_a_suite_that_its_gate_does_not_let_through_is_not_asked(tmp_path: Path) -> None:
    with house(tmp_path, hello, shards=2) as (whole, provider):
        twice = SUITE + "\n" + SUITE.splitlines()[-1].replace("id: c6", "id: again")
        release_id = whole.push("Say hello now.", **{"suites/support.yaml": twice})
        assert run(release_id) == "failed"
        assert "suites/support.yaml: again: ask and demand exactly" in whole.release(release_id).reason
        assert provider.asked == []


def test_without_the_cluster_nothing_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "prefect_dask.task_runners", None)
    with house(tmp_path, hello, shards=2, dask="tcp://127.0.0.1:1") as (whole, provider):
        release_id = whole.push("Say hello now.", **{"suites/support.yaml": SUITE})
        assert run(release_id) == "failed"
        assert "pip install 'promptship[dask]'" in whole.release(release_id).reason
        assert provider.asked == []
