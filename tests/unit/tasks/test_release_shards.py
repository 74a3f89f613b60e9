"""Shards of a release: what is split, what one asks, and what is not paid again."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptship.errors import ConfigError, Conflict, Refused, Unavailable
from promptship.evals.row_log import RowLog
from promptship.lifecycle import steps
from promptship.lifecycle.app import App
from promptship.lifecycle.steps import Standing
from promptship.settings import EvaluationSettings
from promptship.tasks import cluster
from promptship.tasks.evaluation import evaluations
from promptship.tasks.sharding import Shards, ask, judge, split
from tests.support.house import House
from tests.support.shards import SUITE, hello, pass_rates, till
from tests.support.standin import Asked, Said
from tests.support.suite_gates import Gate

fine = Gate()
SAYS_PRICES: Any = {"allow_unpriced": True}
"""The provider names the cost of every answer; nobody knows that before."""

pytestmark = pytest.mark.slow


@contextmanager
def release(
    root: Path, *, answer: Callable[[Asked], Said] = hello, **evaluation: Any
) -> Iterator[tuple[App, str, Any]]:
    """A linted release whose provider is on loopback."""
    with till(answer) as (provider, providers):
        house = House(root=root)
        settings = house.app.settings.model_copy(
            update={"providers": providers, "evaluation": EvaluationSettings(**evaluation)}
        )
        house.app = replace(house.app, settings=settings)
        house.adopt()
        release_id = house.push("Say hello now.", **{"suites/support.yaml": SUITE})
        steps.lint(house.app, release_id)
        yield house.app, release_id, provider


def shards_of(app: App, release_id: str) -> Shards:
    shards = split(app, release_id, examine=fine)
    assert isinstance(shards, Shards)
    return shards


def test_shards_ask_everything_once_and_are_judged_together(tmp_path: Path) -> None:
    with release(tmp_path, shards=3, cache=False) as (app, release_id, provider):
        shards = shards_of(app, release_id)
        assert [(part.number, part.of) for part in shards.parts] == [(1, 3), (2, 3), (3, 3)]
        assert provider.asked == []
        asked = [ask(app, release_id, part, stable=shards.stable, side_by_side=3) for part in shards.parts]
        assert len(provider.asked) == 7 * 3 * 2
        assert judge(app, release_id, asked, stable=shards.stable, examine=fine) is Standing.GO_ON
        verdict: Any = app.release(release_id).suite_verdict
        assert pass_rates(verdict) == [(1.0, 1.0)]
        assert split(app, release_id, examine=fine) is Standing.GO_ON, "what is judged is not split again"
        assert judge(app, release_id, asked, stable=shards.stable, examine=fine) is Standing.GO_ON


def test_what_any_shard_paid_for_is_not_paid_again_even_if_the_number_of_shards_changes(
    tmp_path: Path,
) -> None:
    with release(tmp_path, shards=3, cache=False) as (app, release_id, provider):
        shards = shards_of(app, release_id)
        for part in shards.parts[:2]:
            ask(app, release_id, part, stable=shards.stable, side_by_side=3)
        before = len(provider.asked)
        ask(app, release_id, shards.parts[0], stable=shards.stable, side_by_side=3)
        assert len(provider.asked) == before
        other = replace(
            app,
            settings=app.settings.model_copy(
                update={"evaluation": EvaluationSettings(shards=2, cache=False)}
            ),
        )
        halves = shards_of(other, release_id)
        rows = [ask(other, release_id, part, stable=halves.stable, side_by_side=2) for part in halves.parts]
        assert len(provider.asked) == 7 * 3 * 2
        assert sum(part["reused"] for part in rows) == before


def test_two_processes_at_one_shard_are_one_too_many(tmp_path: Path) -> None:
    with release(tmp_path, shards=2) as (app, release_id, provider):
        shards = shards_of(app, release_id)
        directory = evaluations(app, release_id)
        with RowLog(directory / "support.1-of-2.jsonl"), pytest.raises(Conflict):
            ask(app, release_id, shards.parts[0], stable=shards.stable, side_by_side=2)
        assert provider.asked == []


def test_a_budget_is_divided_and_when_it_is_spent_the_release_is_told_so(tmp_path: Path) -> None:
    with release(tmp_path, shards=2, cache=False, spend_max_usd=0.004, **SAYS_PRICES) as (
        app,
        release_id,
        provider,
    ):
        shards = shards_of(app, release_id)
        asked = [ask(app, release_id, part, stable=shards.stable, side_by_side=2) for part in shards.parts]
        assert len(provider.asked) <= 6, "an answer costs 0.001 USD"
        with pytest.raises(Refused, match="budget is spent; raise spend_max_usd"):
            judge(app, release_id, asked, stable=shards.stable, examine=fine)


def test_a_limit_that_could_not_be_kept_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with release(tmp_path, shards=2, spend_max_usd=1.0) as (app, release_id, provider):
        with pytest.raises(ConfigError, match="suite support may cost") as caught:
            split(app, release_id, examine=fine)
        assert [problem.key for problem in caught.value.problems] == ['models."sim-1".price_in']
        assert "allow_unpriced" in str(caught.value)
        assert provider.asked == []


def test_more_shards_than_calls_wait_for_each_other(tmp_path: Path) -> None:
    with release(tmp_path, shards=7) as (app, release_id, _):
        shards = shards_of(app, release_id)
        assert (len(shards.parts), shards.side_by_side) == (7, 3), "the provider takes 3 calls at a time"
        assert [len(wave) for wave in shards.waves()] == [3, 3, 1]
        assert [part for wave in shards.waves() for part in wave] == list(shards.parts)


def test_what_other_shards_cost_is_not_counted_towards_the_budget_of_one(tmp_path: Path) -> None:
    # 42 answers for 0.042 USD; the first shard may spend 18/42 of 0.05 and needs 0.018.
    with release(tmp_path, shards=3, cache=False, spend_max_usd=0.05, **SAYS_PRICES) as (
        app,
        release_id,
        provider,
    ):
        shards = shards_of(app, release_id)
        for part in reversed(shards.parts):
            ask(app, release_id, part, stable=shards.stable, side_by_side=3)
        assert len(provider.asked) == 7 * 3 * 2


@pytest.mark.parametrize(("side_by_side", "most"), [(1, 3), (3, 1), (9, 1)])
def test_shards_divide_the_calls_in_parallel(tmp_path: Path, side_by_side: int, most: int) -> None:
    at_once: list[int] = []
    inside, lock = [0], threading.Lock()

    def answer(asked: Asked) -> Said:
        with lock:
            inside[0] += 1
            at_once.append(inside[0])
        time.sleep(0.005)  # long enough for the next call to come, if it may
        with lock:
            inside[0] -= 1
        return hello(asked)

    with release(tmp_path, answer=answer, shards=2, cache=False) as (app, release_id, _):
        shards = shards_of(app, release_id)
        ask(app, release_id, shards.parts[0], stable=shards.stable, side_by_side=side_by_side)
    assert max(at_once) <= most


def test_the_error_of_a_shard_is_the_error_of_the_step(tmp_path: Path) -> None:
    with release(tmp_path, shards=2) as (app, release_id, _):
        with pytest.raises(Unavailable, match="is down"):
            judge(app, release_id, Unavailable("sim is down"), stable=None, examine=fine)
        with pytest.raises(OSError, match="plain"):
            judge(app, release_id, OSError("plain"), stable=None, examine=fine)


def test_a_cluster_without_its_package_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "prefect_dask.task_runners", None)
    with pytest.raises(ConfigError, match=r"pip install 'promptship\[dask\]'") as caught:
        cluster.look("tcp://127.0.0.1:1")
    assert caught.value.problems[0].key == "evaluation.dask"
    assert type(cluster.runner("")).__name__ == "ThreadPoolTaskRunner"


def test_what_a_cluster_says_is_put_in_our_words_and_nothing_else_is() -> None:
    ours, defect = Refused("no"), ValueError("a defect")
    assert cluster.as_ours(ours) is ours
    assert cluster.as_ours(defect) is defect
    lost = cluster.as_ours(OSError("tcp://10.0.0.1 closed"))
    assert isinstance(lost, Unavailable)
    assert "10.0.0.1" not in str(lost)
