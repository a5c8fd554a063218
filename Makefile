# Every path is relative: the folder may have spaces in its name, which make cannot quote.
# Variables for `run`: PORT, TARGET_PORT, VAR, WORKER_COUNT, DEMO_HISTORY, DATABASE_URL, REDIS_URL; in the
# environment or behind the target (make run PORT=8001).

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run demo test simulate chaos seal-storm check e2e bench docs hooks clean

PY := .venv/bin/python
CODE := core audit engine approvals countersign examples benchmarks tests manage.py

help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run: ## Start everything at http://127.0.0.1:8000 (PORT, VAR); Ctrl-C stops it
	@scripts/bootstrap run
	@exec $(PY) -m core.supervisor

demo: ## Play the release example against a running system, or one started for it
	@scripts/bootstrap run
	@exec $(PY) -m examples.demo.play

test: ## Run the whole test suite against real PostgreSQL and Redis (ARGS="-k name")
	@scripts/bootstrap dev
	@exec $(PY) -m pytest -n logical --maxprocesses 8 --dist loadgroup $(ARGS)

simulate: ## Play SEEDS=10000 of the engine over a faulty store, or one and print it (SEED=7)
	@scripts/bootstrap dev
	@exec $(PY) -m pytest -q -x -s -o timeout=0 -p no:randomly tests/simulation/test_engine_seeds.py \
	  $(if $(SEED),-k ends_once --seed $(SEED),--seeds $(or $(SEEDS),10000)) $(ARGS)

chaos: ## Kill workers, Redis and PostgreSQL under load for SECONDS=60 and count what came of it
	@scripts/bootstrap dev
	@LOG_LEVEL=WARNING CHAOS_SECONDS=$(or $(SECONDS),60) $(PY) -m pytest -q -s -p no:randomly tests/e2e/test_chaos.py $(ARGS)

seal-storm: ## Kill sealers while 16 append for SECONDS=60, and count what came of it
	@scripts/bootstrap dev
	@LOG_LEVEL=WARNING SEAL_STORM_SECONDS=$(or $(SECONDS),60) $(PY) -m pytest -q -s -p no:randomly tests/integration/audit/test_seal_storm.py $(ARGS)

check: ## Format, lint, types, contracts, migrations, spelling, fast tests
	@scripts/bootstrap dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy $(CODE)
	$(PY) -c "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
	DJANGO_SETTINGS_MODULE=core.settings.test $(PY) manage.py makemigrations --check --dry-run
	$(PY) -m codespell_lib --toml pyproject.toml --skip ".venv,.git,var,.*_cache,requirements*.txt,*.json,*.min.js" .
	$(PY) -m pytest -q -n logical --maxprocesses 8 tests/unit tests/architecture

e2e: ## Run only the tests that start real processes
	@scripts/bootstrap dev
	@exec $(PY) -m pytest -m processes $(ARGS)

bench: ## Measure and write benchmarks/results/latest.json (ONLY=main)
	@scripts/bootstrap dev
	@exec $(PY) -m benchmarks.run $(if $(ONLY),--only $(ONLY))

docs: ## Write the generated reference and build the site into var/site
	@scripts/bootstrap dev
	@DJANGO_SETTINGS_MODULE=core.settings.test $(PY) manage.py write_reference
	@DJANGO_SETTINGS_MODULE=core.settings.test $(PY) manage.py write_flow_reference
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
	@echo "open var/site/index.html"

hooks: ## Check every commit before it is made
	@scripts/bootstrap dev
	@exec $(PY) -m pre_commit install

clean: ## Remove caches; keeps .venv and the data in var
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis var/test
