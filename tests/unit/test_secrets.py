"""The installation's secrets and the directory they are in."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from promptship.adapters.secrets import Secrets


def test_a_secret_is_made_once_even_by_many_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: Secrets(tmp_path / "data", {}).token, range(32)))
    assert len(tokens) == 1
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"token", ".gitignore"}


def test_only_the_owner_reads_them_and_git_ignores_them(tmp_path: Path) -> None:
    kept = Secrets(tmp_path / "data", {})
    assert len(kept.signing_key) >= 32
    assert stat.S_IMODE((tmp_path / "data/signing-key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert "*" in (tmp_path / "data/.gitignore").read_text().splitlines()


def test_the_environment_wins_and_the_gateways_token_is_another(tmp_path: Path) -> None:
    kept = Secrets(tmp_path, {"PROMPTSHIP_TOKEN": "t", "PROMPTSHIP_SIGNING_KEY": "k"})
    assert (kept.token, kept.signing_key) == ("t", b"k")
    assert kept.gateway_token not in {"t", "k"}
    assert list(tmp_path.iterdir()) == []
