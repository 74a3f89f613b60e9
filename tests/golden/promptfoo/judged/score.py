# A script of a team: no annotations, any names.
# ruff: noqa: ANN001
# mypy: ignore-errors
def by_hand(named_scores, context):
    score = min(named_scores.values())
    return {
        "pass": score >= context["threshold"],
        "score": score,
        "reason": "the least of all",
        "namedScores": {"least": score},
    }
