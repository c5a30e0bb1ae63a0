# Each target sets up .venv by itself when it is missing or older than what it is made from.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test figures notebooks docs bench lint format clean

demo: $(READY)
	$(BIN)/probe demo

test: $(READY)
	$(BIN)/python -m pytest -q

notebooks: $(READY)
	$(BIN)/python -m pytest -q --nbmake notebooks

docs: $(READY)
	$(BIN)/python -m sphinx -q --fail-on-warning --keep-going docs docs/_build

BENCHMARKS := attention reattention ground scale

bench: $(READY)
	set -e; for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py $(OPTIONS); done

figures: $(READY)
	$(BIN)/python analyses/all.py $(if $(MEASURE),--measure)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv build docs/_build *.egg-info .pytest_cache .ruff_cache
