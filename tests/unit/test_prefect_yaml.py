"""prefect.yaml deploys flows that exist, by module path, under the names the control plane asks for."""

import asyncio
import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from promptship.adapters.prefect_api import RELEASE, REVIEW

DEPLOYMENTS = yaml.safe_load((Path(__file__).resolve().parents[2] / "prefect.yaml").read_text())[
    "deployments"
]


@pytest.mark.slow  # imports Prefect
@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_every_deployment_names_a_flow(deployment: dict[str, str]) -> None:
    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    assert flow.name == deployment["name"]


def test_the_control_plane_starts_deployments_that_are_there() -> None:
    assert {RELEASE, REVIEW} <= {f"{d['name']}/{d['name']}" for d in DEPLOYMENTS}


@pytest.mark.slow  # imports Prefect
def test_it_says_what_runner_and_fleet_register() -> None:
    from promptship.flows.runner import deployments

    registered = {
        one.name: (one.entrypoint, sorted(one.tags), crons(one.schedules or ()))
        for one in asyncio.run(deployments("releases"))
    }
    written = {
        one["name"]: (
            one["entrypoint"],
            sorted(one["tags"]),
            [plan["cron"] for plan in one.get("schedules", ())],
        )
        for one in DEPLOYMENTS
    }
    assert registered == written


def crons(schedules: Iterable[Any]) -> list[str]:
    return [one.schedule.cron for one in schedules]
