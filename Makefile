# make install | demo | test | check | docs | lowest
PYTHON ?= python3
BIN := .venv/bin
LOWEST ?= build/lowest

.PHONY: help install install-dev demo test test-fast check docs lowest-list lowest audit-dependencies sbom licences clean

help:  ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"contragrad needs Python 3.11 to 3.13, $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

install: .venv/installed  ## a virtual environment in .venv with contragrad in it

install-dev: .venv/installed-dev  ## the same, with what tests and checks need

demo: install  ## the main job on real images, in minutes; goes on where it was interrupted
	@if [ -e runs/demo/study.yaml ]; then $(BIN)/contragrad resume runs/demo; else $(BIN)/contragrad demo --out runs/demo; fi

# A process for each core, with a thread each; a file's tests share what they make. The order is tests/conftest.py's.
TEST := -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: install-dev  ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python $(TEST)

test-fast: install-dev  ## the tests that take seconds
	OMP_NUM_THREADS=1 $(BIN)/python $(TEST) -m 'not slow'

check: install-dev  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: install-dev  ## the documentation, in docs/_build; a warning is an error
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build
	@echo docs/_build/index.html

# Written anew when a bound changes; resolved for the oldest Python, on Linux.
lowest-list: install-dev  ## requirements/lowest.txt: the lowest versions that pyproject.toml allows
	$(BIN)/python scripts/lowest.py | $(BIN)/uv pip compile --quiet --no-header \
	  --python-version 3.11 --python-platform x86_64-manylinux_2_28 --output-file requirements/lowest.txt -

# What libraries deprecate in each other, old ones in new ones, is no failure.
lowest: install-dev  ## all tests with these versions, in an environment in LOWEST; 8 GB, and the time of make test
	$(BIN)/uv venv --quiet --seed --allow-existing --python 3.11 $(LOWEST)
	$(BIN)/uv pip sync --python $(LOWEST) requirements/lowest.txt
	$(BIN)/uv pip install --no-deps --python $(LOWEST) .
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python $(TEST) -W ignore::DeprecationWarning

# Fails where a package cannot be looked up: nothing that was not looked at passes.
audit-dependencies: install-dev  ## known holes in what is installed and in the lowest versions; asks PyPI
	@mkdir -p build
	$(BIN)/uv pip freeze --python .venv --exclude-editable > build/installed.txt
	$(BIN)/uvx pip-audit --strict --no-deps --disable-pip -r build/installed.txt
	$(BIN)/uvx pip-audit --strict --no-deps --disable-pip -r requirements/lowest.txt

sbom: install-dev  ## what is installed, as CycloneDX, in build/sbom.json
	@mkdir -p build
	$(BIN)/uvx --from cyclonedx-bom cyclonedx-py environment --pyproject pyproject.toml \
	  --output-file build/sbom.json .venv

licences: install-dev  ## what is installed, by licence
	$(BIN)/uvx pip-licenses --python .venv/bin/python --order=license

clean:  ## removes what make made
	rm -rf .venv build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis docs/_build docs/_written docs/api
