# The environment: .venv where there is one, else the python3 you started from.
# Another one: make check PYTHON=/path/to/python
PYTHON ?= $(if $(wildcard .venv/bin/python),.venv/bin/python,python3)

.DEFAULT_GOAL := help
.PHONY: help venv check lint types test docs format bench bench-venv

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv:  ## Make .venv with all that the other targets need
	python3 -m venv .venv
	.venv/bin/pip install -q -e ".[dev,docs,examples]"

check: lint types test docs  ## Everything below, as CI does

lint:  ## ruff: the rules and the format
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:  ## mypy and pyright, both strict, over the package
	$(PYTHON) -m mypy
	$(PYTHON) -m pyright --pythonpath "$$($(PYTHON) -c 'import sys; print(sys.executable)')"

test:  ## The tests, those of the types among them
	$(PYTHON) -m pytest

docs:  ## The blocks of docstrings and pages, and the site: build/site/index.html
	$(PYTHON) -m pytest --doctest-modules conveyor tests/test_pages.py
	@told=$$($(PYTHON) -m zensical build --strict --clean 2>&1); status=$$?; echo "$$told"; \
	if echo "$$told" | grep -qE '^griffe|Warning'; then status=1; fi; exit $$status

format:  ## Mend what ruff can mend
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

bench-venv:  ## Make .venv with all that is compared, too
	python3 -m venv .venv
	.venv/bin/pip install -q -e ".[bench]"
	.venv/bin/pip install -q --no-deps --target .venv/parallel-conveyor parallel-conveyor==0.1.3

bench:  ## All benchmarks; some of them: python -m benchmarks --help
	$(PYTHON) -m benchmarks --save
