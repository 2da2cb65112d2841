# make install | demo | test | check | docs
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help install install-dev demo test test-fast check docs clean

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

# A process for each core, with a thread each; a file's tests share what they make.
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test: install-dev  ## all tests
	$(TEST)

test-fast: install-dev  ## the tests that take seconds
	$(TEST) -m 'not slow'

check: install-dev  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: install-dev  ## the documentation, in docs/_build; a warning is an error
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build
	@echo docs/_build/index.html

clean:  ## removes what make made
	rm -rf .venv build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis docs/_build docs/_written docs/api
