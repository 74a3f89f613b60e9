"""`promptship approve` and `promptship reject`: the same decision as in Slack, with the same checks."""

from __future__ import annotations

import subprocess
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config, Reason
from promptship.cli.context import app as connect
from promptship.cli.release import ReleaseId
from promptship.errors import Refused

Who = Annotated[
    str,
    typer.Option("--as", help="Approver's configured name or e-mail. Default: your Git e-mail."),
]


def approve(release: ReleaseId, who: Who = "", reason: Reason = "", config: Config = CONFIG) -> None:
    """Approve a release that waits for it."""
    from promptship.lifecycle.approval import approve as give

    app = connect(config)
    standing = give(app, app.ledger.find(release), who=who or git_email(), via="cli", reason=reason)
    missing = standing.required - len(standing.approvers)
    rest = f"; {missing} more needed" if missing > 0 else ""
    print(f"{standing.id} of {standing.prompt} is {standing.phase}{rest}")


def reject(release: ReleaseId, reason: Reason, who: Who = "", config: Config = CONFIG) -> None:
    """Reject a release that waits for approval; its traffic returns to stable at once."""
    from promptship.lifecycle.approval import reject as refuse

    app = connect(config)
    standing = refuse(app, app.ledger.find(release), who=who or git_email(), via="cli", reason=reason)
    print(f"{standing.id} of {standing.prompt} is {standing.phase}")


def git_email() -> str:
    """Who Git says is at the keyboard. Raises Refused: it does not say."""
    try:
        answer = subprocess.run(
            ["git", "config", "user.email"],  # noqa: S607 - the git on the PATH
            capture_output=True, text=True, check=False, timeout=10,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        answer = ""
    if not answer:
        message = "say who you are with --as NAME: Git has no user.email here"
        raise Refused(message)
    return answer
