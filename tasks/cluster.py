"""Where shards are asked: on threads of this process, or on a Dask cluster of the user's own."""

from __future__ import annotations

from typing import Any, Final

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from promptship.errors import ConfigError, Problem, PromptshipError, Unavailable

CONNECT_S: Final = 10.0
WORKER_S: Final = 30.0
"""How long a cluster that grows on demand may take for its first worker."""


def runner(address: str) -> TaskRunner[Any]:
    """Prefect's task runner on the cluster at this address; empty: on threads. Raises ConfigError: prefect-dask is not installed."""
    if not address:
        return ThreadPoolTaskRunner()
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        got = f"{address!r}, but {error.name} is not installed"
        advice = "pip install 'promptship[dask]', here and on the cluster, or remove the key"
        raise ConfigError(
            [Problem("promptship.toml", "evaluation.dask", got, "expected an installed prefect-dask", advice)]
        ) from None
    return DaskTaskRunner(address=address, client_kwargs={"timeout": CONNECT_S, "set_as_default": False})


def look(address: str) -> None:
    """Make sure that the cluster is there and has a worker, before anything is handed to it.

    Raises:
        ConfigError: prefect-dask is not installed, or the address is none.
        Unavailable: no scheduler answers there, or it has no worker.
    """
    runner(address)
    from distributed import Client

    connect: Any = Client  # untyped

    try:
        client = connect(address, timeout=CONNECT_S, set_as_default=False)
    except OSError as error:
        raise Unavailable(f"no Dask scheduler answers at {address} ({type(error).__name__})") from None
    except ValueError:
        expected = "expected the address of a Dask scheduler, such as tcp://host:8786"
        raise ConfigError([Problem("promptship.toml", "evaluation.dask", repr(address), expected)]) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKER_S)
        except TimeoutError:
            raise Unavailable(
                f"the Dask cluster at {address} has no worker; start one with `dask worker`"
            ) from None


def as_ours(error: Exception) -> Exception:
    """What went wrong between us and a cluster, in our words; any other error as it is."""
    of_cluster = type(error).__module__.partition(".")[0] == "distributed" or isinstance(error, OSError)
    if isinstance(error, PromptshipError) or not of_cluster:
        return error
    return Unavailable(f"the Dask cluster lost a shard ({type(error).__name__}); what was answered is kept")
