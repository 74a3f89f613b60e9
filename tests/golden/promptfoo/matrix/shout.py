# A script of a team: no annotations, any names.
# ruff: noqa: ANN001
# mypy: ignore-errors
def call_api(prompt, options, context):
    if context["vars"]["name"] == "Err":
        return {"error": "no answer today"}
    usage = {"total": 5, "prompt": 2, "completion": 3}
    return {"output": prompt.upper() + "!", "tokenUsage": usage, "cost": 0.01, "metadata": {"loud": True}}
