# The environment: .venv where there is one, else the python3 you started from.
# Another one: make check PYTHON=/path/to/python
PYTHON ?= $(if $(wildcard .venv/bin/python),.venv/bin/python,python3)

.DEFAULT_GOAL := help
.PHONY: help venv check lint types test simulations chaos docs format bench bench-venv

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv:  ## Make .venv with all that the other targets need
	python3 -m venv .venv
	.venv/bin/pip install -q -e ".[dev,docs,examples]"

check: lint types test simulations chaos docs  ## Everything below, as CI does

lint:  ## ruff: the rules and the format
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:  ## mypy and pyright, both strict, over the package
	$(PYTHON) -m mypy
	$(PYTHON) -m pyright --pythonpath "$$($(PYTHON) -c 'import sys; print(sys.executable)')"

test:  ## The tests, those of the types among them
	$(PYTHON) -m pytest -n 3 --dist worksteal

simulations:  ## 20,000 simulated runs of random pipelines, with deaths: on all cores
	$(PYTHON) -m tests.flow.simulations --runs 20000

chaos:  ## A thousand real workers killed, and nothing is lost
	$(PYTHON) -m tests.faults.chaos --kills 1000

docs:  ## The site, build/site/index.html; the blocks of its pages are run by the tests
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
