# A script of a team: no annotations, any names.
# ruff: noqa: ANN001
# mypy: ignore-errors
def numbers():
    return [{"vars": {"n": n}, "assert": [{"type": "equals", "value": str(n)}]} for n in range(3)]


def generate_tests(config):
    return [{"description": f"{config['word']} {n}", "vars": {"n": n * 10}} for n in range(config["upto"])]
