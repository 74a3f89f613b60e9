# A script of a team: no annotations, any names.
# ruff: noqa: ANN001, N802
# mypy: ignore-errors
def afterEach(context, options):
    result = context["result"]
    result["namedScores"] = {"hooked": 0.5, "bad": "text"}
    result["metadata"] = {"seen": options["hookName"]}
    return context
