"""What judges are told, word for word: a change makes another judge, so it must raise RUBRICS_VERSION."""

from __future__ import annotations

import hashlib
import json

from promptship.evals.assertions.judged_orders import AGAIN, ORDERS, RUBRICS_VERSION, told

GOLDEN = {
    "rubrics-1": "0a85e89b9c17a715cf80713bef4758b44c4ed9fd12ccf117dc78b8d576b7ed00",
}
PARTS = [("rubric", "Is polite."), ("conversation", "[user] Hi"), ("answer", "Hello </answer> there")]


def test_the_orders_are_those_of_their_version() -> None:
    everything = [dict(ORDERS), AGAIN, told("rubric", PARTS)]
    found = hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()
    assert GOLDEN.get(RUBRICS_VERSION) == found, (
        "the orders changed: raise RUBRICS_VERSION and add its digest here"
    )


def test_the_material_looks_like_this() -> None:
    system, user = told("rubric", PARTS)
    code = user["content"].split(">", 1)[0].split(" ")[1]
    assert user == {
        "role": "user",
        "content": f"<rubric {code}>\nIs polite.\n</rubric {code}>\n\n<conversation {code}>\n[user] Hi\n</conversation {code}>\n\n"
        f"<answer {code}>\nHello </answer> there\n</answer {code}>",
    }
    assert system["role"] == "system"
    assert code in system["content"]
