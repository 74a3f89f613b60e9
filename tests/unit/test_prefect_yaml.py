"""prefect.yaml deploys flows that exist, by module path, under the names the control plane asks for."""

import importlib
from pathlib import Path

import pytest
import yaml

from promptship.adapters.prefect_api import PrefectOrchestrator

DEPLOYMENTS = yaml.safe_load((Path(__file__).resolve().parents[2] / "prefect.yaml").read_text())[
    "deployments"
]


@pytest.mark.slow  # imports Prefect
@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_every_deployment_names_a_flow(deployment: dict[str, str]) -> None:
    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    assert flow.name == deployment["name"]


def test_the_control_plane_starts_a_deployment_that_is_there() -> None:
    wanted = PrefectOrchestrator.__init__.__defaults__
    assert wanted is not None
    assert wanted[0] in {f"{d['name']}/{d['name']}" for d in DEPLOYMENTS}
