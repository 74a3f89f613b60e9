"""Pull requests of GitHub: check runs (or commit statuses, where a token may not write checks), and one comment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from promptship.adapters.hosts.access import PAGES_MAX, Api, Token
from promptship.errors import NotFound, Refused
from promptship.ports import Annotation, Pull, Report
from promptship.render.table import clipped

CHECK: Final = "promptship"
_STATUS: Final = "status"
"""Reference of a mark that is a commit status: it has no id of its own."""
_ANNOTATIONS_MAX: Final = 50
"""Per request; GitHub adds those of further requests."""
_DESCRIPTION_MAX: Final = 140
_SUMMARY_MAX: Final = 65_000
_TITLE_MAX: Final = 250
_STATES: Final = {"success": "success", "failure": "failure", "neutral": "error"}
"""A status knows no neutral one; `error` says that nothing was concluded, and does not let a merge pass."""


class GitHub:
    """`ports.Host` over GitHub's REST API."""

    def __init__(self, api_url: str, repository: str, token: Token) -> None:
        def headers() -> Mapping[str, str]:
            known = token()
            sent = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
            return sent | ({"Authorization": f"Bearer {known}"} if known else {})

        self._api = Api("GitHub", api_url, headers)
        self._repository = repository
        self._at = f"/repos/{repository}"

    def pull(self, number: int) -> Pull:
        """The pull request as it is now. Raises NotFound."""
        _, told = self._api.call("GET", f"{self._at}/pulls/{number}")
        head, base = told["head"], told["base"]
        source = (head.get("repo") or {}).get("full_name", "")  # null: the fork was deleted
        return Pull(
            number=number,
            head=str(head["sha"]),
            base=str(base["ref"]),
            is_open=told["state"] == "open",
            fork=source.lower() != self._repository.lower(),
            author=str((told.get("user") or {}).get("login", "")),
            ref=f"refs/pull/{number}/head",
        )

    def begin(self, head: str, *, title: str, known: str = "") -> str:
        """A check run in progress; a pending commit status where the token may not write check runs."""
        if known:
            return known
        body = {
            "name": CHECK,
            "head_sha": head,
            "status": "in_progress",
            "output": {"title": clipped(title, _TITLE_MAX), "summary": ""},
        }
        try:
            _, told = self._api.call("POST", f"{self._at}/check-runs", body)
        except (NotFound, Refused):
            # Personal tokens may not, older servers have none: check runs are for apps and Actions.
            self._status(head, "pending", title)
            return _STATUS
        return str(told["id"])

    def finish(self, head: str, reference: str, report: Report) -> None:
        """Complete the check run, or set the status."""
        if reference == _STATUS:
            self._status(head, _STATES[report.outcome], report.title)
            return
        output: dict[str, Any] = {
            "title": clipped(report.title, _TITLE_MAX),
            "summary": report.summary[:_SUMMARY_MAX],
        }
        parts = list(_parts(report.annotations))
        done = {"status": "completed", "conclusion": report.outcome}
        for number, part in enumerate(parts):
            body = {"output": {**output, "annotations": part}}
            last = number == len(parts) - 1
            self._api.call("PATCH", f"{self._at}/check-runs/{reference}", body | (done if last else {}))

    def comment(self, number: int, text: str, *, marker: str, known: str = "") -> str:
        """Create our comment, or replace its text."""
        found = known or self._find(number, marker)
        if found:
            try:
                self._api.call("PATCH", f"{self._at}/issues/comments/{found}", {"body": f"{marker}\n{text}"})
                return found
            except NotFound:
                pass  # somebody deleted it
        _, told = self._api.call(
            "POST", f"{self._at}/issues/{number}/comments", {"body": f"{marker}\n{text}"}
        )
        return str(told["id"])

    def _find(self, number: int, marker: str) -> str:
        """Id of the comment that begins with the marker; one that quotes it somewhere is somebody else's."""
        for page in range(1, PAGES_MAX + 1):
            path = f"{self._at}/issues/{number}/comments?per_page=100&page={page}"
            _, told = self._api.call("GET", path)
            for one in told:
                if str(one.get("body") or "").startswith(marker):
                    return str(one["id"])
            if len(told) < 100:  # noqa: PLR2004 - a page
                break
        return ""

    def _status(self, head: str, state: str, title: str) -> None:
        body = {"state": state, "context": CHECK, "description": clipped(title, _DESCRIPTION_MAX)}
        self._api.call("POST", f"{self._at}/statuses/{head}", body)


def _parts(annotations: tuple[Annotation, ...]) -> Iterator[list[dict[str, Any]]]:
    """As many annotations as one request may hold; one empty part when there are none."""
    for start in range(0, max(len(annotations), 1), _ANNOTATIONS_MAX):
        yield [
            {
                "path": one.path,
                "start_line": max(one.line, 1),
                "end_line": max(one.line, 1),
                "annotation_level": one.level,
                "title": clipped(one.title, _TITLE_MAX),
                "message": one.message or one.title,
            }
            for one in annotations[start : start + _ANNOTATIONS_MAX]
        ]
