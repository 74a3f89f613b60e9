"""A regression suite in a process of its own, which tests kill with -9 and start again.

    python -m tests.support.eval_process <data directory> <base url> <cases> <cache | no-cache>

Goes on with the last run when there is one. Prints the number of rows, of those taken over, and of answers paid for.
"""

import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path

from promptship.adapters.answer_cache import AnswerCache
from promptship.adapters.providers import HttpModels
from promptship.errors import NotFound
from promptship.evals.calls import Limits
from promptship.evals.native import arm_facts, case_facts, inputs_digest
from promptship.evals.rows import Arm
from promptship.evals.scripts.pool import ScriptPool
from promptship.evals.session import Session
from promptship.evals.suite_run import Means, run_suite
from promptship.prompts.model import Prompt
from promptship.settings import ProviderSettings
from tests.support.suites import prompt_of, suite_of


async def go(data: Path, url: str, cases: int, *, cached: bool) -> str:
    lines = "".join(
        f"  - {{id: c{n}, vars: {{question: q{n}}}, assert: [{{type: contains, value: q{n}}}]}}\n"
        for n in range(cases)
    )
    suite, arms = suite_of("cases:\n" + lines), dict[Arm, Prompt](candidate=prompt_of())
    digest = inputs_digest(suite, arms, 1)
    try:
        session = Session.resume(data, digest=digest)
    except NotFound:
        session = Session.create(data, what="s", digest=digest, arms=arm_facts(arms), cases=case_facts(suite))
    models = HttpModels({"stub": ProviderSettings(base_url=url)}, {}, {})
    with ExitStack() as stack:
        stack.enter_context(session)
        answers = stack.enter_context(AnswerCache(data / "answers.sqlite")) if cached else None
        means = Means(models=models, scripts=ScriptPool(), answers=answers, limits=Limits(concurrency=8))
        try:
            outcome, _ = await run_suite(
                suite, arms, means, trials=1, on_row=session.add, finished=session.rows()
            )
        finally:
            await models.aclose()
    passed = sum(getattr(row.score, "passed", False) for row in outcome.rows)
    return f"{len(outcome.rows)} {passed} {outcome.reused}"


if __name__ == "__main__":
    directory, base_url, count, cache = sys.argv[1:5]
    result = asyncio.run(go(Path(directory), base_url, int(count), cached=cache == "cache"))
    sys.stdout.write(result + "\n")
