"""The HTML report in a real browser: its script runs under its own policy, filters filter, and nobody's text becomes code."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from promptship.evals.reports.model import Report
from promptship.evals.reports.write import write
from tests.support.judged_reports import ATTACK, judged_report
from tests.support.reports import NASTY, large_report, matrix_report, small_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no chromium on the PATH: install it to test the page in a browser"
    ),
    pytest.mark.xdist_group("chromium"),
]


def dom(path: Path, fragment: str = "") -> str:
    """The page as the browser has it after its script ran."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={path.parent / 'profile'}", "--enable-logging=stderr", "--dump-dom"]  # fmt: skip
    done = subprocess.run([*command, f"{path.as_uri()}{fragment}"], capture_output=True, text=True, timeout=90, check=True)  # fmt: skip
    assert "Content Security Policy" not in done.stderr
    assert "Uncaught" not in done.stderr
    return done.stdout


class Explorer(HTMLParser):
    """What stands in the list of answers: ids of its cases, what is inserted and deleted, everything as text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cases: list[str] = []
        self.pres: list[dict[str, str]] = []
        self.scripts = 0
        self.images = 0
        self.shown = ""
        self.text = ""
        self._path: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.images += tag == "img"
        if tag in {"meta", "link", "input", "img", "line", "circle", "rect", "br"}:
            return
        if tag == "pre":
            self.pres.append({"all": "", "ins": "", "del": ""})
        self._path.append((tag, dict(attrs).get("class") or dict(attrs).get("id") or ""))

    def handle_endtag(self, tag: str) -> None:
        while self._path and self._path.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        tags = [tag for tag, _ in self._path]
        if "script" not in tags:
            self.text += data
        if ("button", "open") in self._path:
            self.cases.append(data)
        if ("output", "shown") in self._path:
            self.shown += data
        if "pre" in tags:
            self.pres[-1]["all"] += data
            for kind in ("ins", "del"):
                self.pres[-1][kind] += data if kind in tags else ""


def explored(report: Report, folder: Path, fragment: str = "") -> Explorer:
    path = folder / "report.html"
    if not path.exists():
        write(report, path)
    return Explorer(dom(path, fragment))


def test_cases_to_look_at_come_first_and_text_stays_text(tmp_path: Path) -> None:
    report = small_report()
    page = explored(report, tmp_path)
    assert page.cases == ["refund", "=cmd()", "a|b_<script>", "greeting"]
    assert page.shown == "4 of 4 cases"
    assert page.images == 0
    written = (tmp_path / "report.html").read_text()
    assert page.scripts == written.count("<script") == 3
    assert not re.findall(r"(?:src|href)=\"(?!#)", written)


@pytest.mark.parametrize(
    ("fragment", "cases"),
    [
        ("#outcome=case%3Aregressed", ["refund"]),
        ("#outcome=trial%3Aunanswered", ["=cmd()"]),
        ("#outcome=trial%3Afailed&arm=1", ["greeting"]),
        ("#slice=billing", ["refund", "a|b_<script>"]),
        ("#q=onerror%3D", ["a|b_<script>"]),
        ("#q=here%20REFUND", ["refund"]),
        ("#slice=billing&q=nowhere", []),
        ("#outcome=case%3Anonsense", ["refund", "=cmd()", "a|b_<script>", "greeting"]),
    ],
)
def test_a_view_is_in_its_address(fragment: str, cases: list[str], tmp_path: Path) -> None:
    page = explored(small_report(), tmp_path, fragment)
    assert page.cases == cases
    assert page.shown == f"{len(cases)} of 4 cases"


def test_an_opened_case_shows_whole_answers_and_what_changed_against_stable(tmp_path: Path) -> None:
    page = explored(small_report(), tmp_path, "#case=a%7Cb_%3Cscript%3E")
    changed, second, stable, _ = [pre for pre in page.pres if pre["all"] != NASTY[2]]
    assert page.images == 0
    assert (changed["ins"], changed["del"]) == (NASTY[0] + NASTY[1], stable["all"])  # too unlike for words
    assert second["ins"] == NASTY[5]
    refund = explored(small_report(), tmp_path, "#case=refund").pres
    texts = [pre["all"] for pre in refund if not pre["ins"] and not pre["del"]]
    assert "Here is your refund." in texts


def test_differences_are_word_by_word_where_answers_are_alike(tmp_path: Path) -> None:
    page = explored(large_report(30), tmp_path, "#case=ticket-00001")
    now, before = page.pres[0], page.pres[2]
    assert now["ins"]
    assert now["del"]
    kept = re.sub(r"\s+", "", now["all"])
    assert len(now["all"]) == len(before["all"]) + len(now["ins"])
    assert kept.startswith("Dearcustomer1:")


def test_an_attack_is_shown_word_for_word_and_acts_nowhere(tmp_path: Path) -> None:
    page = explored(judged_report(), tmp_path, "#case=injection-1-base64")
    assert page.images == 0
    shown = [pre["all"] for pre in page.pres if pre["all"] == ATTACK]
    assert len(shown) == 2  # with both versions
    assert "LLM01 Prompt Injection · injection · base64" in page.text
    assert explored(judged_report(), tmp_path, "#q=havuka").cases == ["injection-1-base64"]


def test_a_rule_of_k_of_n_is_said_where_the_answers_are(tmp_path: Path) -> None:
    page = explored(judged_report(), tmp_path)
    assert "3 of 5 passed, needs 4" in page.text
    assert "contains: 'refund' not in 'No.'" in page.text


def test_the_controls_do_what_the_address_does(tmp_path: Path) -> None:
    """A driver's script has no place under the page's policy, so the policy is taken out of this copy."""
    path = tmp_path / "report.html"
    write(matrix_report(cases=60), path)
    page = re.sub(r"<meta http-equiv[^>]*>", "", path.read_text())
    driver = """<script>
      const log = [], shown = () => log.push(document.getElementById('shown').value);
      const set = (id, value) => { const one = document.getElementById(id); one.value = value; one.dispatchEvent(new Event('change')); shown(); };
      shown(); set('outcome', 'case:fails'); set('slice', 'even'); set('arm', '0');
      log.push(location.hash, String(document.querySelectorAll('#cases thead th').length));
      document.getElementById('clear').click(); shown();
      const before = document.querySelectorAll('.case').length;
      document.getElementById('more').click();
      log.push(String(before < document.querySelectorAll('.case').length), document.activeElement.className);
      const open = document.querySelector('.open'); open.click();
      log.push(open.getAttribute('aria-expanded'), String(document.querySelectorAll('.detail').length)); open.click();
      log.push(open.getAttribute('aria-expanded'), String(document.querySelectorAll('.detail').length));
      document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true }));
      log.push(document.activeElement.id);
      document.documentElement.append(Object.assign(document.createElement('p'), { id: 'log', textContent: JSON.stringify(log) }));
    </script>"""
    path.write_text(page + driver)
    found = re.search(r'<p id="log">(.*?)</p>', dom(path))
    assert found is not None
    assert html.unescape(found[1]) == (
        '["60 of 60 cases","1 of 60 cases","0 of 60 cases","0 of 60 cases",'
        '"#outcome=case%3Afails&slice=even&arm=0","2","60 of 60 cases","true","open","true","1","false","0","search"]'
    )


def test_thousands_of_rows_are_not_in_the_page_at_once(tmp_path: Path) -> None:
    page = explored(large_report(5_000), tmp_path)
    assert page.shown == "5,000 of 5,000 cases"
    assert 40 <= len(page.cases) <= 400
