"""Start a gateway as the command line does: `python run_gateway.py <root> <settings as JSON>` prints its address."""

from __future__ import annotations

import sys
from pathlib import Path

from promptship.gateway.serve import run
from promptship.settings import Settings

SECRET = b"a secret of the tests, long enough"


def _say(address: str) -> None:
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()


def main() -> None:
    settings = Settings.model_validate_json(sys.argv[2]).model_copy(update={"root": Path(sys.argv[1])})
    run(settings, token="tok", secret=SECRET, ready=_say)


if __name__ == "__main__":
    main()
