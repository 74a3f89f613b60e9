"""OpenFeature's own clients, of Python and of JavaScript, against a gateway process.

The Python client is one of the packages for developers; the JavaScript client is fetched with npm into a cache of the user's, once
(tests/support/node_packages.py). Where there is no Node, no npm or no registry, its tests are skipped and say so.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from promptship.routing.split import takes_candidate
from tests.support.control_plane import ControlPlane
from tests.support.gateway import CANDIDATE, CANDIDATE_DIGEST, SALT, STABLE_DIGEST, table
from tests.support.gateway_process import Gateway, running
from tests.support.loopback import raw, says
from tests.support.node_packages import node_with

pytestmark = pytest.mark.system

KEY = "key of the web application"
UNITS = [f"user-{number}" for number in range(20)]
APPLICATIONS = {"web": hashlib.sha256(KEY.encode()).hexdigest()}

SCRIPT = """
const { OpenFeature } = require('@openfeature/server-sdk');
const { OFREPProvider } = require('@openfeature/ofrep-provider');
(async () => {
  const [baseUrl, key, units] = [process.argv[1], process.argv[2], JSON.parse(process.argv[3])];
  const headers = [['Authorization', `Bearer ${key}`]];
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers }));
  const client = OpenFeature.getClient();
  const said = { units: [] };
  for (const targetingKey of units)
    said.units.push(await client.getObjectDetails('support', {}, { targetingKey, variables: { question: 'why?' } }));
  said.nobody = await client.getObjectDetails('support', {}, {});
  said.unknown = await client.getObjectDetails('nothing', { own: true }, {});
  said.pinned = await client.getObjectDetails('support@' + said.nobody.value.version.slice(0, 8), {}, {});
  said.wrong = await client.getObjectDetails('support', {}, { variables: { question: 1 } });
  console.log(JSON.stringify(said));
  process.exit(0);
})();
"""


@asynccontextmanager
async def serving(root: Path) -> AsyncIterator[tuple[Gateway, ControlPlane]]:
    routes = table(revision=1, candidate=CANDIDATE, share=0.5, lease_s=600.0)
    async with running(root, routes, says(raw("200 OK")), applications=APPLICATIONS) as (started, plane, _):
        yield started, plane


def version_of(unit: str) -> str:
    return CANDIDATE_DIGEST if takes_candidate(SALT, unit, 0.5) else STABLE_DIGEST


def assert_decided_as_everywhere(details: list[dict[str, Any]]) -> None:
    assert [one["value"]["version"] for one in details] == [version_of(unit) for unit in UNITS]
    assert {one["reason"] for one in details} == {"SPLIT"}
    assert {one["variant"] for one in details} == {STABLE_DIGEST[:12], CANDIDATE_DIGEST[:12]}
    for one in details:
        arm = "candidate" if one["value"]["version"] == CANDIDATE_DIGEST else "stable"
        assert one["metadata"]["arm"] == arm
        text = "Candidate. why?" if arm == "candidate" else "Stable. why?"
        assert one["value"]["messages"] == [{"role": "system", "content": text}]
        assert one["value"]["rendered"] is True


async def test_pythons_client(tmp_path: Path) -> None:
    api: Any = pytest.importorskip("openfeature.api", reason="openfeature-sdk is not installed")
    ofrep: Any = pytest.importorskip(
        "openfeature.contrib.provider.ofrep", reason="openfeature-provider-ofrep is not installed"
    )
    context: Any = pytest.importorskip("openfeature.evaluation_context").EvaluationContext

    def ask(address: str, key: str) -> dict[str, Any]:
        def headers() -> dict[str, str]:
            return {"Authorization": f"Bearer {key}"}

        api.set_provider(ofrep.OFREPProvider(address, headers_factory=headers))
        client = api.get_client()

        def details(flag: str, default: object, **context_: Any) -> dict[str, Any]:
            found = client.get_object_details(flag, default, context(**context_))
            plain = {name: getattr(found, name) for name in ("value", "reason", "variant", "error_code")}
            return plain | {"metadata": dict(found.flag_metadata)}

        attributes = {"variables": {"question": "why?"}}
        said: dict[str, Any] = {
            "units": [details("support", {}, targeting_key=unit, attributes=attributes) for unit in UNITS],
            "nobody": details("support", {}),
            "unknown": details("nothing", {"own": True}),
            "wrong": details("support", {}, attributes={"variables": {"question": 1}}),
        }
        api.shutdown()
        return said

    async with serving(tmp_path) as (started, _):
        said = await asyncio.to_thread(ask, started.address, KEY)
        assert_decided_as_everywhere(said["units"])
        assert (said["nobody"]["reason"], said["nobody"]["value"]["version"]) == ("STATIC", STABLE_DIGEST)
        assert said["nobody"]["value"]["rendered"] is False
        assert (said["unknown"]["value"], said["unknown"]["error_code"]) == ({"own": True}, "FLAG_NOT_FOUND")
        assert (said["wrong"]["value"], said["wrong"]["error_code"]) == ({}, "INVALID_CONTEXT")
        refused = await asyncio.to_thread(ask, started.address, "of nobody")
        assert {one["error_code"] for one in refused["units"]} == {"GENERAL"}
        token = said["units"][0]["metadata"]["feedbackToken"]
        report = {"token": token, "model": "gpt-x", "latency_ms": 12.5, "status": 200}
        taken = await started.http.post(
            "/v1/observations", json={"observations": [report, report]}, headers={"x-api-key": KEY}
        )
        assert (taken.status_code, taken.json()) == (202, {"taken": 2, "refused": []})
        first, second = started.lines()
        assert first == second  # counted once: the id is the evaluation's
        assert (first["id"], first["version"]) == (
            said["units"][0]["metadata"]["requestId"],
            version_of(UNITS[0]),
        )


SERVER_PACKAGES = (
    "@openfeature/core@1.12.0", "@openfeature/server-sdk@1.23.0", "@openfeature/ofrep-core@0.1.4",
    "@openfeature/ofrep-provider@0.1.3",
)  # fmt: skip
WEB_PACKAGES = (
    "@openfeature/core@1.12.0", "@openfeature/web-sdk@1.10.0", "@openfeature/ofrep-web-provider@0.4.3", "eventsource@4.1.1"
)  # fmt: skip
FOLLOWER = """
const Events = require('eventsource').EventSource;
const [baseUrl, key] = [process.argv[1], process.argv[2]];
const headers = { Authorization: `Bearer ${key}` };
globalThis.EventSource = class extends Events {
  constructor(url) { super(url, { fetch: (to, init) => fetch(to, { ...init, headers: { ...init.headers, ...headers } }) }); }
};
const { OpenFeature, ProviderEvents } = require('@openfeature/web-sdk');
const { OFREPWebProvider } = require('@openfeature/ofrep-web-provider');
(async () => {
  await OpenFeature.setContext({ targetingKey: 'user-1' });
  const client = OpenFeature.getClient();
  const version = () => client.getObjectDetails('support', {}).value.version;
  const provider = new OFREPWebProvider({ baseUrl, headers: [['Authorization', headers.Authorization]], pollInterval: 0 });
  await OpenFeature.setProviderAndWait(provider);
  client.addHandler(ProviderEvents.ConfigurationChanged, () => console.log(version()));
  console.log(version());
})();
"""


async def script(
    packages: tuple[str, ...], code: str, address: str, *words: str
) -> asyncio.subprocess.Process:
    """Node, running it."""
    node, modules = node_with(*packages)
    return await asyncio.create_subprocess_exec(
        node, "-e", code, address, KEY, *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=os.environ | {"NODE_PATH": str(modules)},
    )  # fmt: skip


async def test_javascripts_client(tmp_path: Path) -> None:
    node_with(*SERVER_PACKAGES)
    async with serving(tmp_path) as (started, _):
        process = await script(SERVER_PACKAGES, SCRIPT, started.address, json.dumps(UNITS))
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, err.decode()
        said = json.loads(out)
        assert_decided_as_everywhere([one | {"metadata": one["flagMetadata"]} for one in said["units"]])
        assert (said["nobody"]["reason"], said["nobody"]["value"]["version"]) == ("STATIC", STABLE_DIGEST)
        assert (said["unknown"]["value"], said["unknown"]["errorCode"]) == ({"own": True}, "FLAG_NOT_FOUND")
        assert said["pinned"]["value"]["version"] == STABLE_DIGEST
        assert said["wrong"]["errorCode"] == "INVALID_CONTEXT"


async def test_javascripts_client_hears_of_a_rollback_by_the_event_stream(tmp_path: Path) -> None:
    node_with(*WEB_PACKAGES)
    async with serving(tmp_path) as (started, plane):
        assert version_of("user-1") == CANDIDATE_DIGEST
        process = await script(WEB_PACKAGES, FOLLOWER, started.address)
        try:
            assert process.stdout is not None
            async with asyncio.timeout(60):
                first = (await process.stdout.readline()).decode().strip()
                assert first == CANDIDATE_DIGEST
                # Polling is off, so only the stream can tell. It may open a moment later than the client is ready: a notice that
                # came before is missed, and the next revision tells it again.
                said = ""
                for revision in range(2, 30):
                    await plane.push(table(revision=revision))
                    with suppress(TimeoutError):
                        while said != STABLE_DIGEST:
                            line = await asyncio.wait_for(process.stdout.readline(), 2)
                            said = line.decode().strip()
                    if said == STABLE_DIGEST:
                        break
                assert said == STABLE_DIGEST
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


async def test_a_rollback_is_noticed_by_who_follows_the_event_stream(tmp_path: Path) -> None:
    async with serving(tmp_path) as (started, plane):
        headers = {"Authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=started.address, headers=headers, timeout=20) as client:
            body = {"context": {"targetingKey": "user-1"}}
            bulk = await client.post("/ofrep/v1/evaluate/flags", json=body)
            endpoint = bulk.json()["eventStreams"][0]["endpoint"]
            etag = {"If-None-Match": bulk.headers["etag"]}
            assert (await client.post("/ofrep/v1/evaluate/flags", json=body, headers=etag)).status_code == 304
            async with client.stream("GET", endpoint["origin"] + endpoint["requestUri"]) as stream:
                assert stream.headers["content-type"] == "text/event-stream"
                lines = stream.aiter_lines()
                assert await anext(lines) == ":"  # it is open
                await plane.push(table(revision=2))
                async for line in lines:
                    if line.startswith("data:"):
                        assert json.loads(line[5:])["type"] == "refetchEvaluation"
                        break
            again = await client.post("/ofrep/v1/evaluate/flags", json=body, headers=etag)
            assert (again.status_code, again.json()["flags"][0]["reason"]) == (200, "STATIC")
            assert again.json()["flags"][0]["value"]["version"] == STABLE_DIGEST
