# Two commands matter: `make demo` and `make test`. Each sets up what it needs.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
# Extras stay in the lock: without them pip looks for a newer coverage[toml], and has no hash for it.
UV := $(VENV)/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
      --generate-hashes --no-emit-index-url --no-header --no-strip-extras

# Made once, refreshed when a lock changes: what runs, and on top of it what tests.
PIP := $(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes

$(VENV)/.run: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.lock
	touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(PIP) -r requirements-dev.lock
	touch $@

.PHONY: help demo run test check lock openapi bench mutate clean
help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / — /'

demo: $(VENV)/.run ## Show the whole product in half a minute, without Azure
	@$(RUN) app demo

run: $(VENV)/.run ## Serve with the embedded Key Vault until stopped
	@$(RUN) app demo --serve

check: $(VENV)/.dev ## Every guard that needs no running: style, architecture, types, dependencies
	$(VENV)/bin/ruff format --check app tests
	$(VENV)/bin/ruff check app tests
	$(VENV)/bin/lint-imports
	$(RUN) mypy
	$(VENV)/bin/deptry app
	$(VENV)/bin/hadolint Dockerfile

test: check ## Everything .ci/run runs: the guards, then the tests with branch coverage
	$(RUN) pytest --cov --cov-report=term --cov-fail-under=95
	$(RUN) coverage report --include='app/deployment/*,app/pki.py,app/errors.py' --fail-under=100

lock: $(VENV)/.dev ## Resolve the dependencies anew: hashes, and no index address
	$(UV) --upgrade -o requirements.lock
	$(UV) --upgrade --group dev -c requirements.lock -o requirements-dev.lock

openapi: $(VENV)/.run ## Write openapi/openapi.json from the code
	$(RUN) app openapi > openapi/openapi.json

bench: $(VENV)/.dev ## Measure beside a bare script of the Azure SDK, interleaved
	$(RUN) tests.bench

mutate: $(VENV)/.dev ## Mutation tests of the core
	$(VENV)/bin/mutmut run

clean: ## Remove what the commands above made
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .coverage data mutants
