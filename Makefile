# make demo   builds the environment, runs a study and its report on a small sample (two minutes after installation)
# make test   builds the environment if needed, checks style and passes the tests
# make lock   pins every package anew, from pyproject.toml (needs uv: pip install uv)
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN = .venv/bin

.PHONY: demo test lock

demo: .venv/ready
	$(BIN)/python exp_bs_mrpc.py --demo
	$(BIN)/python make_report.py --demo

test: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/python -m pytest

lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --all-extras pyproject.toml -o requirements.lock

.venv/ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "error: Python 3.11 is needed, and $(PYTHON) is another or missing: install it and call again, or name it with make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@touch $@
