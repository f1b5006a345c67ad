# Everything runs in virtual environments made here; `make help` lists the targets.

VENV := .venv
BIN := $(VENV)/bin
SERVE_PYTHONS := 3.12 3.13 3.11
PINS := -c .ci/constraints.txt
# Flags for what is run: make serve ARGS="--port 9000"
ARGS ?=

.PHONY: help venv venv-test serve test lint bench clean distclean \
	venv-train venv-label venv-render

help:
	@echo 'make serve    make the virtual environment if needed, then run the server'
	@echo '              (flags: make serve ARGS="--port 9000")'
	@echo 'make venv     only make the virtual environment; .venv/bin/visavis is the command'
	@echo 'make test     lint, types and tests, in a real Chromium where one can be had'
	@echo 'make bench    measure rendering and latency, into build/bench'
	@echo 'make clean    remove caches and builds; distclean: virtual environments too'
	@echo 'Offline work: make venv-train, venv-label, venv-render'

venv: $(VENV)/.serve

venv-test: $(VENV)/.test

$(VENV)/.serve: pyproject.toml .ci/constraints.txt
	@.ci/make-venv $(VENV) $(SERVE_PYTHONS) -- $(PINS) -e .
	@touch $@

$(VENV)/.test: $(VENV)/.serve
	@.ci/make-venv $(VENV) $(SERVE_PYTHONS) -- $(PINS) -e '.[test]'
	@touch $@

serve: venv
	@exec $(BIN)/visavis serve $(ARGS)

test: lint
	@.ci/chromium $(BIN)/python
	$(BIN)/python -m pytest $(ARGS)

lint: venv-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: venv-test
	@.ci/chromium $(BIN)/python
	$(BIN)/visavis bench render --json build/bench/render.json
	$(BIN)/visavis bench latency --json build/bench/latency.json

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find engine kernels models bench tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv .venv-train .venv-label .venv-render

# Offline work stands apart: its packages are large, and want other versions than the engine.
venv-train: .venv-train/.done

.venv-train/.done: pyproject.toml .ci/constraints.txt
	@.ci/make-venv .venv-train $(SERVE_PYTHONS) -- $(PINS) -e '.[train,onnxruntime]'
	@touch $@

venv-label: .venv-label/.done

.venv-label/.done: models/label/requirements.txt
	@.ci/make-venv .venv-label 3.11 3.12 -- -r $<
	@touch $@

venv-render: .venv-render/.done

.venv-render/.done: models/avatars/render/requirements.txt
	@.ci/make-venv .venv-render 3.11 -- -r $<
	@touch $@
