# Two commands on a fresh machine with Python 3.11 or newer and make: `make demo`, and `make test`.

PYTHON ?= python3
BIN := .venv/bin
DISTRIBUTIONS := pyproject.toml $(sort $(wildcard plugins/*/pyproject.toml))
INSTALLED := .venv/installed-from-checkout

# Says so in one line on any Python, however old.
CHECK_PYTHON := import sys; v = sys.version_info; v >= (3, 11) or sys.exit("lnas needs Python 3.11 or newer, and %s is %d.%d: \
remove .venv where there is one, and name another Python, as in make PYTHON=python3.11" % (sys.executable, v[0], v[1]))

.PHONY: demo test lint types docs clean

demo: $(INSTALLED)
	$(BIN)/lnas run --strategy darts --prune alpha:iterative

test: $(INSTALLED) lint types
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile
	$(MAKE) docs

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy --strict lnas $(wildcard plugins/*/lnas_*)

docs: $(INSTALLED)
	$(BIN)/sphinx-build -q -W --keep-going -E -b html docs docs/_build/html

# An environment that is there is used as it is.  The stamp is older than a pyproject.toml that was changed.
$(INSTALLED): $(DISTRIBUTIONS)
	@test -x $(BIN)/python || $(PYTHON) -c '$(CHECK_PYTHON)'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	@$(BIN)/python -c '$(CHECK_PYTHON)'
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[dev]' $(patsubst %/pyproject.toml,--editable ./%,$(filter plugins/%,$(DISTRIBUTIONS)))
	@touch $@

clean:
	rm -rf .venv docs/_build .mypy_cache .pytest_cache .ruff_cache
