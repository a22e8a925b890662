# The targets people and CI use; each does its own set-up.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: train demo test docs check fix clean

train: .venv/.installed  ## the main job: three models on the drawn faces, compared
	$(BIN)/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no train.py

demo: .venv/.installed  ## a page to try the model in the box
	$(BIN)/fer-hf demo

test: .venv/.installed  ## every test that needs no network
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

docs: .venv/.installed  ## the reference of the API, from its docstrings
	$(BIN)/python docs/api.py

check: .venv/.installed  ## what CI checks before the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: .venv/.installed  ## mend what a tool can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv

# uv installs the same packages as pip, in about a minute instead of several; compiled ones start in half the time.
.venv/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fer_hf needs Python 3.11 or newer, this is " + sys.version.split()[0] + ". Say: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python -e ".[dev]"
	touch $@
