# A script of a team: no annotations, any names.
# ruff: noqa: ANN001
# mypy: ignore-errors
def call_api(prompt, options, context):
    return {"output": "own:" + prompt}
