# Every target sets up what it needs; start with `make demo`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# Nothing that runs from here phones home.
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export GX_ANALYTICS_ENABLED := false

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= 2
# mypy reaches flows/, tasks/ and evals/ through the symlinks in src/promptship: naming them too would load them twice.
TYPED := src/promptship tests scripts
# `make test ARGS='-k canary'` hands extra words to pytest.
ARGS ?=

.PHONY: help
help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(READY)  ## Release the example prompts from commit to production, offline
	@$(BIN)/python examples/demo.py

.PHONY: up
up: $(READY)  ## Start the gateway, the control plane and the workers on this machine
	@$(BIN)/promptship up

.PHONY: test
test: $(READY)  ## Run every test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

.PHONY: test-fast
test-fast: $(READY)  ## Run the tests that need no processes and no patience
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not slow and not system" $(ARGS)

.PHONY: chaos
chaos: $(READY)  ## Kill everything at random while 30 releases run on a fleet
	@$(BIN)/python -m scripts.chaos $(ARGS)

# Each step runs even if an earlier one failed: one look shows everything there is to fix.
CHECKS := check-format check-lint check-types check-imports check-sizes check-docs

.PHONY: check
check: $(READY)  ## Check format, lint, types, import rules, sizes and generated docs
	@failed=""; \
	for step in $(CHECKS); do \
	  echo "== $$step"; \
	  $(MAKE) --no-print-directory "$$step" || failed="$$failed $$step"; \
	done; \
	if [ -n "$$failed" ]; then echo "check: failed:$$failed" >&2; exit 1; fi; \
	echo "check: all $(words $(CHECKS)) steps passed"

.PHONY: $(CHECKS)
check-format: $(READY)
	@$(BIN)/ruff format --check .

check-lint: $(READY)
	@$(BIN)/ruff check .

check-types: $(READY)
	@$(BIN)/mypy $(TYPED)

check-imports: $(READY)
	@$(BIN)/lint-imports --no-logo

check-sizes: $(READY)
	@$(BIN)/python scripts/check_sizes.py

check-docs: $(READY)
	@$(BIN)/promptship docs --check

.PHONY: format
format: $(READY)  ## Rewrite the code in the house format
	@$(BIN)/ruff check --select I --fix-only .
	@$(BIN)/ruff format .

.PHONY: bench
bench: $(READY)  ## Run the benchmarks; each prints one table
	@for bench in benchmarks/[a-z]*.py; do echo "== $$bench"; $(BIN)/python "$$bench"; done

.PHONY: docs
docs: $(READY)  ## Regenerate the generated docs
	@$(BIN)/promptship docs

.PHONY: golden
golden: $(READY)  ## Rewrite the golden files (then read the diff)
	PROMPTSHIP_UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q tests/golden $(ARGS)

.PHONY: lock
lock:  ## Regenerate requirements.lock (UPGRADE=1 takes newer versions)
	@scripts/lock $(if $(UPGRADE),--upgrade)

.PHONY: clean
clean:  ## Remove the environment, builds and caches (never .promptship/, which holds data)
	rm -rf $(VENV) .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name '*.egg-info' -type d -prune -exec rm -rf {} +

# The environment is rebuilt when the lock or the packaging changes; the lock's hash tells whether pip has work to do.
$(READY): requirements.lock pyproject.toml scripts/venv
	@scripts/venv $(VENV)
	@touch $@
