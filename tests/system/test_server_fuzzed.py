"""Whatever is sent to the control plane, it answers in its own words and nothing breaks: schemathesis over its OpenAPI document."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode

from tests.support.plane import TOKEN, World, opened

pytestmark = pytest.mark.system
WORLD = World()
RELEASE = opened(WORLD)
schema = schemathesis.openapi.from_asgi("/openapi.json", WORLD.asgi())
schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])


@schema.exclude(path="/api/routes/events").parametrize()  # a stream: it does not end
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_there_is_no_internal_error(case: Any) -> None:
    if case.path_parameters.get("release", "").startswith(tuple("abcdef0123456789")):
        case.path_parameters["release"] = RELEASE
    answered: Response = case.call(headers={"Authorization": f"Bearer {TOKEN}"})
    assert answered.status_code < 500, answered.text
    if case.path.startswith("/api/"):
        assert case.call().status_code in {
            401,
            404,
        }  # 404: a line break in the path is no path of ours at all
