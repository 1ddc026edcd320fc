# Two commands matter: `make demo` and `make test`. Each sets up what it needs, two things at a time.
.DEFAULT_GOAL := help
MAKEFLAGS += --jobs=2
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
# Extras stay in the lock: without them pip looks for a newer coverage[toml], and has no hash for it.
UV := $(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
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

# Other makers' clients of the embedded Key Vault. `az` pins old SDKs, so it lives apart; its own list of
# dependencies is cut down (tests/clients/az.toml), hence --no-deps, and most of it never runs.
AZ := .venv-az
JS := tests/clients/javascript

$(AZ)/.made: tests/clients/az.lock
	$(PYTHON) -m venv --clear $(AZ)
	$(AZ)/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile -r $<
	touch $@

# Node.js comes as a wheel beside `az`, and here trusts whom the machine trusts, as behind a proxy it must.
# npm writes this file last; what it may do is in the .npmrc there.
NPM := NODE_USE_SYSTEM_CA=1 $(abspath $(AZ))/bin/npm
$(JS)/node_modules/.package-lock.json: $(JS)/package-lock.json $(AZ)/.made
	cd $(JS) && $(NPM) ci --loglevel=error

.PHONY: help demo run test check clients chaos lock openapi bench mutate clean
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

clients: $(AZ)/.made $(JS)/node_modules/.package-lock.json ## The other clients that the tests use: az and the JavaScript SDK

test: check clients ## Everything .ci/run runs: the guards, then the tests with branch coverage
	$(RUN) pytest -n auto --dist loadfile --cov --cov-report=term --cov-fail-under=95
	$(RUN) coverage report --include='app/deployment/*,app/pki.py,app/errors.py' --fail-under=100

chaos: $(VENV)/.dev ## A minute of three replicas in a storm, another one each time
	$(RUN) pytest tests/service/test_chaos.py --chaos-seconds=60 --chaos-seed=$$(date +%s)

lock: $(VENV)/.dev $(AZ)/.made ## Resolve the dependencies anew: hashes, and no index address
	$(UV) pyproject.toml -o requirements.lock
	$(UV) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	$(UV) tests/clients/az.in --config-file tests/clients/az.toml -o tests/clients/az.lock
	cd $(JS) && $(NPM) update --package-lock-only --loglevel=error

openapi: $(VENV)/.run ## Write openapi/openapi.json from the code
	$(RUN) app openapi > openapi/openapi.json

bench: $(VENV)/.dev ## Measure beside a bare script of the Azure SDK, interleaved: a table and bench.png
	$(RUN) tests.bench

mutate: $(VENV)/.dev ## Mutation tests of the core and of the connectors
	$(VENV)/bin/mutmut run

clean: ## Remove what the commands above made
	rm -rf $(VENV) $(AZ) $(JS)/node_modules .cache .mypy_cache .pytest_cache .ruff_cache .coverage bench.png data mutants
