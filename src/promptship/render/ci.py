"""Workflows for pull requests that need no server of ours: lint, and the suites of what changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_GITHUB: Final = """\
# Made by `promptship ci github`: lint and suites of every pull request, without a server. Yours to change.
name: prompts
on:
  pull_request:
permissions:
  contents: read
jobs:
  prompts:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    steps:
      - uses: actions/checkout@v4
        with:
          fetch-depth: 0
          persist-credentials: false
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - name: Install
        run: pip install promptship
      - name: Lint
        run: promptship lint --format github
      - name: Suites
        env:
          BASE: ${{ github.event.pull_request.base.sha }}
@ENV@
        run: |
@SUITES@
      - name: Summary
        if: always()
        run: cat reports/*.md >> "$GITHUB_STEP_SUMMARY" || true
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: prompts
          path: reports/
          if-no-files-found: ignore
"""
_GITLAB: Final = """\
# Made by `promptship ci gitlab`: lint and suites of every merge request, without a server. Yours to change.
# Variables with the providers' keys (Settings, CI/CD, Variables; masked): @KEYS@
prompts:
  image: python:3.12
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
  variables:
    GIT_DEPTH: "0"
    BASE: $CI_MERGE_REQUEST_DIFF_BASE_SHA
  script:
    - pip install promptship
    - promptship lint
    - |
@SUITES@
  artifacts:
    when: always
    paths: [reports/]
    reports:
      junit: reports/*.xml
"""
_SUITES: Final = """\
mkdir -p reports
promptship ci changed --since "$BASE" > reports/changed.txt
status=0
while read -r prompt; do
  promptship eval "$prompt" --against "$BASE" -o "reports/$prompt.md" -o "reports/$prompt.xml" < /dev/null || status=$?
done < reports/changed.txt
exit $status"""


def github(keys: Iterable[str]) -> str:
    """`.github/workflows/prompts.yml`. `keys`: environment variables with the providers' keys. A fork's run has no secrets."""
    env = "\n".join(f"          {key}: ${{{{ secrets.{key} }}}}" for key in keys)
    return _filled(_GITHUB.replace("@ENV@\n", f"{env}\n" if env else ""), " " * 10)


def gitlab(keys: Iterable[str]) -> str:
    """A job for `.gitlab-ci.yml`."""
    return _filled(_GITLAB.replace("@KEYS@", ", ".join(keys) or "none are named"), " " * 6)


def _filled(template: str, indent: str) -> str:
    return template.replace("@SUITES@", "\n".join(f"{indent}{line}" for line in _SUITES.splitlines()))
