"""A PostgreSQL server for tests: the one that PROMPTSHIP_TEST_POSTGRES_URL names, or one of our own on a free local port."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

ENVIRONMENT = "PROMPTSHIP_TEST_POSTGRES_URL"


@contextmanager
def postgres_server() -> Iterator[str]:
    """URL of a server; skips the test when there is none and none can be started."""
    if given := os.environ.get(ENVIRONMENT):
        yield given
        return
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    if not binaries:
        pytest.skip(f"no PostgreSQL here: install Debian's postgresql, or set {ENVIRONMENT}")
    directory = Path(tempfile.mkdtemp(prefix="promptship-pg-"))
    user = _unprivileged(directory)
    port = _free_port()
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_connections=60"
    start: Sequence[Path | str] = [
        binaries[-1] / "pg_ctl",
        "-D",
        directory / "data",
        "-l",
        directory / "log",
        "-w",
        "-o",
        options,
        "start",
    ]
    stop: Sequence[Path | str] = [
        binaries[-1] / "pg_ctl",
        "-D",
        directory / "data",
        "-m",
        "immediate",
        "stop",
    ]
    initdb: Sequence[Path | str] = [
        binaries[-1] / "initdb",
        "-D",
        directory / "data",
        "-U",
        "tests",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "-N",
    ]

    def run(command: Sequence[Path | str]) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=directory, user=user)

    try:
        run(initdb)
        run(start)
        try:
            yield f"postgresql://tests@127.0.0.1:{port}/postgres"
        finally:
            run(stop)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def postgres_database(server: str, *, template: str | None = None) -> Iterator[str]:
    """URL of a new, empty (or copied) database on the server; dropped afterwards."""
    name = f"promptship_{uuid4().hex}"
    engine = create_engine(
        make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    try:
        with engine.connect() as connection:
            copied = f" TEMPLATE {make_url(template).database}" if template else ""
            connection.execute(text(f"CREATE DATABASE {name}{copied}"))
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        engine.dispose()  # its connection may be of before a restart
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        engine.dispose()


def _unprivileged(directory: Path) -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    shutil.chown(directory, "nobody")
    return "nobody"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
