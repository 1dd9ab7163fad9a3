# Everything a developer types. Each target installs what it needs first (`make setup`).

VENV := .venv/bin
SOURCES := src tests bench demo
# Daemons start hundreds of times: compile the sources once, whatever the caller's habits.
export PYTHONDONTWRITEBYTECODE :=

# Tests mostly wait, so two run on each core.
WORKERS = $(shell expr 2 '*' $$(nproc))

.DEFAULT_GOAL := help
.PHONY: help setup check test bench demo demo-stop format clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: ## Install system packages and the virtual environment (quick the second time)
	@scripts/setup

check: setup ## Lint, format, strict types, and the walls between the rooms
	$(VENV)/ruff check $(SOURCES)
	$(VENV)/ruff format --check $(SOURCES)
	$(VENV)/mypy
	$(VENV)/lint-imports --no-cache

test: check ## Everything that must pass (real containers: as root), files side by side
	$(VENV)/pytest -n $(WORKERS) --dist loadfile

bench: ## Ratios against a bare loop of runc and conmon; PEER=1 installs docker.io, for dockerd's
	@scripts/setup $(if $(PEER),docker.io)
	$(VENV)/python -m bench $(BENCH)

demo: setup ## A cluster that runs a published service; it stays until `make demo-stop`
	$(VENV)/python -m demo up

demo-stop: setup ## Stop the demo and remove all that it made
	$(VENV)/python -m demo down

format: setup ## Put the sources into the one format
	$(VENV)/ruff check --fix $(SOURCES)
	$(VENV)/ruff format $(SOURCES)

clean: ## Remove the virtual environment and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
