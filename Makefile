# Each target sets up .venv by itself when it is missing or older than what it is made from.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# Without compiled modules, which containers often forbid, each process compiles torch and transformers
# anew: twice to three times the CPU time of every command that starts here.
unexport PYTHONDONTWRITEBYTECODE

# One worker a core, each on one thread: more threads would only wait for each other. A file's tests
# share their fixtures in one worker; tests/conftest.py has the files with slow tests start first.
WORKERS ?= logical
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --maxprocesses 8 \
	--dist loadscope --no-loadscope-reorder

.PHONY: demo test test-fast test-exhaustive test-shapes coverage figures claims notebooks docs bench lint lint-js format hooks clean

demo: $(READY)
	$(BIN)/probe demo

# ALL=1 takes the tests of many cases, too, as CI does: each worker reads all tests, in twenty seconds
# of its core, so that they are read once and not twice.
test: $(READY)
	$(PYTEST) $(if $(ALL),,-m 'not exhaustive')

# The slow tests that go through many cases of a kind, alone.
test-exhaustive: $(READY)
	$(PYTEST) -m exhaustive tests

# Models of two layers in the shapes of published checkpoints; one at a time, with all cores.
test-shapes: $(READY)
	$(BIN)/python -m pytest -q -m shapes tests/shapes

# The tests that are not marked slow, in a minute; doctests are in `make test`.
test-fast: $(READY)
	$(PYTEST) -m 'not slow' tests

# All tests, and which lines of the package they never run.
coverage: $(READY)
	$(PYTEST) --cov --cov-report=term:skip-covered

# Run each once, and compare with its committed outputs; WRITE=1 writes them, NAMES="01 02" are some.
# Tests may run next to them, and go first: some of them wait for no longer than seconds.
notebooks: $(READY)
	OMP_NUM_THREADS=1 nice -n 5 $(BIN)/python notebooks/run.py $(NAMES) $(if $(WRITE),--write)

# In a folder of its own within _build: the notebooks that it reads are written next to it, where the
# linters, which may run at the same time, do not look.
docs: $(READY)
	nice -n 5 $(BIN)/python -m sphinx -q --fail-on-warning --keep-going docs docs/_build/html

BENCHMARKS := attention reattention ground scale passes sharing batch answering

bench: $(READY)
	set -e; for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py $(OPTIONS); done

figures: $(READY)
	$(BIN)/python analyses/all.py $(if $(MEASURE),--measure)
	$(BIN)/python docs/write_gallery.py
	$(BIN)/python docs/write_found.py

# What `analyses/protocol.md` says, on every organism; a stopped run goes on where it was.
claims: $(READY)
	$(BIN)/python analyses/claims.py --measure --workers 2 $(OPTIONS)
	$(BIN)/python analyses/looks_by_layer.py
	$(BIN)/python docs/write_found.py

lint: $(READY) lint-js
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	nice -n 5 $(BIN)/pyright

# The page's JavaScript; only this needs node, and only its developers need this.
LINT_JS := .ci/javascript

lint-js:
	@if command -v npm >/dev/null; \
	then $(MAKE) --silent $(LINT_JS)/node_modules && npm run -s --prefix $(LINT_JS) lint; \
	else echo 'JavaScript not linted: node and npm are not installed'; fi

$(LINT_JS)/node_modules: $(LINT_JS)/package.json $(LINT_JS)/package-lock.json
	npm ci --silent --no-audit --no-fund --prefix $(LINT_JS)
	touch $@

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Run the checks of `make lint` before each commit from now on.
hooks: $(READY)
	$(BIN)/pre-commit install

# Python compiles a module when it is first imported; of all packages, most modules never are.
PIP_OPTIONS := --quiet --disable-pip-version-check --no-compile

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(PIP_OPTIONS) -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv build docs/_build *.egg-info .pytest_cache .ruff_cache .coverage $(LINT_JS)/node_modules
