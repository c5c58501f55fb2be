# Every target runs in .venv, which .ci/bootstrap.py makes and keeps in line with the locks.
RUN := python3 .ci/bootstrap.py
CONFIG ?= demo/winback.toml
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	--no-annotate --no-strip-extras pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format lock schema ui bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' Makefile

setup: ## Make .venv with everything that development needs
	@$(RUN)

demo: ## Simulate a company and run a whole night on it, into demo/
	@$(RUN) winback demo

test: ## Run the tests; pass more by ARGS="-k stages"
	@$(RUN) pytest $(ARGS)

check: ## Lint, format check, types, SQL, the Dagster graph
	@$(RUN) ruff check
	@$(RUN) ruff format --check
	@$(RUN) mypy
	@$(RUN) sqlfluff lint sql
	@$(RUN) dg check defs

format: ## Mend what can be mended by itself: imports, layout, SQL
	@$(RUN) ruff check --fix
	@$(RUN) ruff format
	@$(RUN) sqlfluff fix sql

lock: ## Resolve both lock files anew (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv, which is not installed"; exit 1; }
	@$(LOCK) --extra dev -o requirements-dev.lock >/dev/null
	@$(LOCK) -c requirements-dev.lock -o requirements.lock >/dev/null

schema: ## Write docs/settings.* and docs/strategies.* from the code
	@$(RUN) python -m dagster_project.settings.schema
	@$(RUN) python -m dagster_project.strategy.catalogue_schema

ui: ## Open the Dagster UI on CONFIG (demo/winback.toml unless given)
	@$(RUN) winback ui --config $(CONFIG)

bench: ## Measure seconds and memory stage by stage, and the bars of the models
	@$(RUN) python -m benchmarks

clean: ## Delete caches and builds; .venv, data and reports stay
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
