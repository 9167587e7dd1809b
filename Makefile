# Two commands matter on a fresh machine: `make demo` and `make test`. Both make `.venv` first.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
COMFYUI_PATH ?= $(HOME)/comfy/ComfyUI
OUTPUT ?= output/demo
# What `make bench` runs; `make bench BENCH=attention` runs one.
BENCH ?=
# What `make fresh` installs; `make fresh VERSIONS=` takes the newest of everything.
VERSIONS ?= --constraint constraints-dev.txt
PYTEST_ARGS ?=
# Processes that `make test` tests in, each with a thread of its own.
WORKERS ?= 2
# Of the cheapest fuzzers in `make fuzz`, and of `make soak`.
CASES ?= 2000
EDITS ?= 100
# Of `make chaos`, for each engine.
SEEDS ?= 5

# Wheels come from the package index alone, whatever a local pip configuration offers beside it:
# a local build of torch would not match torchvision, and figures would differ between machines.
export PIP_FIND_LINKS :=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

INSTALLED := $(VENV)/.installed
# The tests that drive a real ComfyUI need what it needs; where none is found, they skip.
ifneq ($(wildcard $(COMFYUI_PATH)/main.py),)
SERVER := $(VENV)/.comfyui
endif

# The tools of ComfyUI's registry, in an environment of their own: what they need differs from what
# we pin. Where they cannot be installed, the tests that need them skip and say so.
REGISTRY := $(VENV)/registry

.PHONY: help demo test mutants fuzz soak chaos fresh bench lint typecheck format locales miniature clean

help:
	@echo "make demo       edit the built-in clip; writes a video, a sheet and figures to $(OUTPUT)"
	@echo "make test       ruff, pyright and pytest"
	@echo "make fresh      what ComfyUI users install, in an environment made anew; in minutes"
	@echo "make mutants    whether the quick tests notice 30 small faults, one at a time; in minutes"
	@echo "make fuzz       CASES of each kind of file and text; make soak: EDITS in one ComfyUI"
	@echo "make chaos      batches whose workers, drivers and servers are killed; in minutes"
	@echo "make bench      all figures, in hours; BENCH=attention for one, BENCH=gpu on a GPU"
	@echo "make lint | typecheck | format | locales | miniature | clean"

$(INSTALLED): pyproject.toml requirements.txt constraints-dev.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Evenframe needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev,cluster]' --constraint constraints-dev.txt
	mkdir -p $(VENV)/typing && ln -sfn ../.. $(VENV)/typing/evenframe
	touch $@

$(VENV)/.comfyui: $(INSTALLED) $(COMFYUI_PATH)/requirements.txt
	$(BIN)/python -m pip install --quiet --requirement "$(COMFYUI_PATH)/requirements.txt" \
		--constraint constraints-dev.txt
	touch $@

$(REGISTRY)/.installed: tests/registry-tools.txt
	@"$(PYTHON)" -m venv $(REGISTRY) && $(REGISTRY)/bin/python -m pip install --quiet --retries 1 \
		--requirement $< && touch $@ || echo "The registry's tools cannot be installed here." >&2

demo: $(INSTALLED)
	$(BIN)/python -m evenframe demo --output $(OUTPUT)

test: lint typecheck $(SERVER) $(REGISTRY)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile \
		--no-loadscope-reorder $(PYTEST_ARGS)

fresh: $(INSTALLED) $(SERVER) $(REGISTRY)/.installed
	rm -rf $(VENV)/fresh
	"$(PYTHON)" -m venv $(VENV)/fresh
	$(VENV)/fresh/bin/python -m pip install --quiet --requirement requirements.txt \
		--requirement "$(COMFYUI_PATH)/requirements.txt" $(VERSIONS)
	EVENFRAME_FRESH=$(VENV)/fresh $(BIN)/python -m pytest tests/test_fresh_install.py

mutants: $(INSTALLED)
	$(BIN)/python tests/mutants.py

fuzz: $(INSTALLED)
	EVENFRAME_FUZZ=$(CASES) $(BIN)/python -m pytest tests/fuzz $(PYTEST_ARGS)

soak: $(INSTALLED) $(SERVER)
	PYTHONPATH=tests $(BIN)/python tests/soak.py --edits $(EDITS)

# On Ray, too, where the extra `cluster` is installed.
chaos: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python tests/chaos.py --seeds $(SEEDS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(INSTALLED)
	$(BIN)/pyright

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

locales: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python tests/locales.py

bench: $(INSTALLED)
	$(BIN)/python -m evenframe bench $(BENCH)

miniature: $(INSTALLED)
	$(BIN)/python -m evenframe.miniature
	$(BIN)/python -m evenframe.miniature.video

clean:
	rm -rf output build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
