# `make` prints this list. `make demo` and `make test` on a fresh clone do all the set-up.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q install -c constraints-cpu.txt

.PHONY: help setup setup-peers demo test test-slow check format bench docs gallery clean

help:
	@echo "setup      make .venv with all that demo and tests need (again: does nothing)"
	@echo "setup-peers install the systems that the benchmarks compare with (setup has done it)"
	@echo "demo       train a small translator (3 minutes), translate, score, write runs/demo/report.html"
	@echo "test       run the tests (under 10 minutes on 2 cores)"
	@echo "test-slow  run the long tests too"
	@echo "check      format, lint, types"
	@echo "bench      run the benchmarks (python -m benchmarks.NAME [--json])"
	@echo "gallery    write docs/gallery/index.html: three models at work, in a browser"
	@echo "docs       write docs/settings*.md, docs/trace.schema.json and the tables of models again"

setup: .venv/ready

.venv/ready: pyproject.toml constraints-cpu.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (PyTorch for the CPU; minutes the first time)"
	@$(PIP) -e ".[dev,peers,serve,export]"
	@touch .venv/ready

setup-peers: setup
	@$(PIP) -e ".[peers]"

demo: setup
	@$(BIN)/allyouneed demo --out runs/demo

test: setup
	@$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: setup
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup
	@$(BIN)/python -m benchmarks.translation

docs: setup
	@$(BIN)/python docs/make.py

gallery: setup
	@$(BIN)/python docs/gallery.py

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache
