# Threadlore: `make help` lists what there is. A fresh Debian machine needs only Python 3.11, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The lock is complete, so pip resolves nothing; modules are compiled when they are first imported.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-compile
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --quiet

.DEFAULT_GOAL := help
.PHONY: help run test test-all chaos check check-types check-lint check-structure bench bench-search lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

run: $(VENV)/.run ## set up and serve: the playground, and every platform whose token is set
	@exec $(BIN)/threadlore serve

test: check ## set up, check and run the tests
	$(BIN)/python -m pytest --hypothesis-profile=steady -m "not long"

test-all: check ## the same with the long tests
	$(BIN)/python -m pytest --hypothesis-profile=searching

chaos: $(VENV)/.dev ## break everything at random and count what people would see: docs/reliability.md
	$(BIN)/python -m tests.chaos $(if $(ONLY),--only $(ONLY)) $(if $(SEEDS),--seeds $(SEEDS))

check: $(VENV)/.dev ## lint, types, import contracts, dependencies, migrations; no tests
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target check-types check-lint check-structure

check-types: # takes as long as all the others together
	$(BIN)/mypy

check-lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-structure:
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/python -m migrations.check

bench: $(VENV)/.dev ## Threadlore beside a bare bot, as ratios measured in one run
	$(BIN)/python -m benchmarks

bench-search: $(VENV)/.dev $(VENV)/pgvectorstore ## search 100,000 chunks (or CHUNKS=1000000) beside the bare statement and langchain-postgres
	$(BIN)/python -m benchmarks.search --chunks $(or $(CHUNKS),100000) --rival $(VENV)/pgvectorstore/bin/python

lock: $(VENV)/.dev ## resolve the dependencies anew into the two lock files
	$(BIN)/$(LOCK) --upgrade --group build --group weights --output-file requirements.lock
	$(BIN)/$(LOCK) --group build --group weights --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove the virtual environment and caches; your data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python's venv module is missing or broken. On Debian: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.run: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing the locked packages: a minute or two, once."
	@$(INSTALL) --require-hashes --requirement requirements.lock
	@$(INSTALL) --no-build-isolation --editable .
	@touch $@

# In an environment of its own: it asks for an older pgvector than Threadlore's.
$(VENV)/pgvectorstore: | $(BIN)/python
	@$(PYTHON) -m venv $@ && $@/bin/python -m pip --disable-pip-version-check install --quiet langchain-postgres==0.0.19 \
		|| { rm -rf $@; exit 1; }

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "Installing what checks and tests need."
	@$(INSTALL) --require-hashes --requirement requirements-dev.lock
	@touch $@
