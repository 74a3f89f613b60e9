"""`promptship client export`: from a gateway or from the ledger, one file that a client can start with."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from promptship.cli import app
from promptship.client import Client
from promptship.client.bundle import read_bundle
from promptship.settings_file import load_settings
from promptship.wiring import build
from tests.support.control_plane import ControlPlane
from tests.support.gateway import CANDIDATE, STABLE_DIGEST, table
from tests.support.loopback import Behaviour, Loopback, raw, says

ROUTES = table(revision=3, candidate=CANDIDATE)


async def export(behaviour: Behaviour, file: Path, *words: str) -> Result:
    async with Loopback(behaviour) as server:
        command = ["client", "export", str(file), "--gateway", server.url, *words]
        return await asyncio.to_thread(CliRunner().invoke, app, command)


async def test_a_gateways_stable_versions_become_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTSHIP_APPLICATION_KEY", "tok")
    ran = await export(ControlPlane(ROUTES), tmp_path / "prompts.json", "--prompt", "support")
    assert (ran.exit_code, ran.stdout) == (0, f"{tmp_path / 'prompts.json'}: 1 prompt of revision 3\n")
    with Client("http://127.0.0.1:9", key="", cache=None, bundle=tmp_path / "prompts.json") as client:
        assert client.get("support").render({"question": "why?"}, unit="u").version == STABLE_DIGEST


@pytest.mark.parametrize(
    ("behaviour", "words", "status", "told"),
    [
        (ControlPlane(ROUTES), (), 1, "does not accept this key"),
        (says(raw("503 No")), (), 3, "answered 503"),
        (says(raw("200 OK", b"{}")), (), 3, "cannot be read here"),
        (says(raw("200 OK", ROUTES.model_dump_json().encode())), ("--prompt", "other"), 2, "other"),
    ],
)
async def test_what_cannot_be_exported_leaves_the_old_file(
    behaviour: Behaviour, words: tuple[str, ...], status: int, told: str, tmp_path: Path
) -> None:
    (file := tmp_path / "prompts.json").write_text("old", encoding="utf-8")
    ran = await export(behaviour, file, *words)
    assert (ran.exit_code, file.read_text(encoding="utf-8")) == (status, "old")
    assert told in ran.stderr


def test_the_ledgers_stable_versions_become_a_file(tmp_path: Path) -> None:
    config = tmp_path / "promptship.toml"
    config.write_text("", encoding="utf-8")
    built = build(load_settings(config))
    version = ROUTES.versions[STABLE_DIGEST]
    built.routes.keep_version(version)
    built.routes.adopt("support", version, actor="person:mira", at=datetime.now(UTC))
    built.close()
    file = tmp_path / "prompts.json"
    ran = CliRunner().invoke(app, ["client", "export", str(file), "--config", str(config)])
    assert ran.exit_code == 0, ran.output
    assert read_bundle(file).table.routes["support"].stable == STABLE_DIGEST
    ran = CliRunner().invoke(app, ["client", "export", str(tmp_path / "no" / "x"), "--config", str(config)])
    assert (ran.exit_code, "No such file" in ran.stderr) == (2, True)
