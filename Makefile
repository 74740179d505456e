# `make test` runs everything that can run on this machine; `make check` is what CI runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# One process more than cores: many tests wait for a clock or a limit. The tests of a file stay together and share its fixtures.
CORES := $(shell getconf _NPROCESSORS_ONLN)
PYTEST := $(BIN)/python -m pytest -n $(shell echo $$(($(CORES) + 1))) --dist loadfile --no-loadscope-reorder

.PHONY: setup test lint format types check postgresql soak real browser axe packages serve docs clean

setup: $(INSTALLED)

$(INSTALLED): requirements.txt requirements-dev.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

test: $(INSTALLED)
	$(PYTEST)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(INSTALLED)
	$(BIN)/mypy --strict .

check: lint types test postgresql

# The files named in that list once more, on PostgreSQL; skipped with a word where it is not installed. Each waits
# for the database most of the time, so that there can be more of them.
postgresql: $(INSTALLED)
	ZITILITE_TEST_DATABASE=postgresql $(PYTEST) -n $(shell echo $$(($(CORES) * 2))) @tests/on_postgresql.txt

# Ten minutes of every kind of load, while memory, threads and files are watched.
soak: $(INSTALLED)
	$(BIN)/python -m bench.soak 600

real: $(INSTALLED)
	$(BIN)/python -m pytest -m real

browser: $(INSTALLED)
	$(BIN)/python -m pytest -m browser

# What looks at the pages for people who use a keyboard or a screen reader; without it that test is skipped.
axe: build/npm/node_modules/axe-core/axe.min.js

build/npm/node_modules/axe-core/axe.min.js:
	npm install --silent --no-audit --no-fund --prefix build/npm axe-core@4.14.1

# Wheel, zipapp and binary into dist/, each tried as somebody who just got it.
packages:
	PYTHON=$(PYTHON) packaging/build.sh
	PYTHON=$(PYTHON) packaging/smoke.sh

serve: $(INSTALLED)
	$(BIN)/python app.py run

docs: $(INSTALLED)
	$(BIN)/python -c "import config; print(config.reference(), end='')" > docs/settings.md

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
