# AstrID: two commands do all set-up.
#   make demo    the whole pipeline over several nights on the embedded stack
#   make test    the whole test suite
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.astrid-installed
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu
NEEDED_DISK_MIB := 6000

SURVEY ?= simulated
DATA ?=
REFERENCE ?=
REVIEW ?=
TRAIN ?=
# Tests often wait for servers and programs: three processes keep two cores busy.
TESTERS ?= 3

.PHONY: help demo test up down lint audit bench

help:
	@sed -n 's/^#   //p' Makefile
	@echo "also: make up | down | lint | audit | bench"

demo: $(STAMP)
	$(BIN)/astrid demo --survey $(SURVEY) $(if $(DATA),--data "$(DATA)") $(if $(REFERENCE),--reference "$(REFERENCE)") $(if $(filter 0,$(REVIEW)),--no-review) $(if $(TRAIN),--train)

test: $(STAMP)
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile --no-loadscope-reorder tests

up: $(STAMP)
	$(BIN)/astrid up

down: $(STAMP)
	$(BIN)/astrid down

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy .ci/audit.py

audit: $(STAMP)
	$(BIN)/python .ci/audit.py

bench: $(STAMP)
	$(BIN)/python -m benchmarks.night
	$(BIN)/python -m benchmarks.differencing --short $(if $(DATA),--data "$(DATA)")

# On Linux PyPI's torch is the CUDA build, gigabytes large. Unless ASTRID_CUDA=1 asks for it,
# take the CPU build: the wheel pip already finds, else PyTorch's public CPU index.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"AstrID needs Python 3.11 to 3.13, this is {v[0]}.{v[1]}; set PYTHON=python3.12, say")'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@free=$$(df -Pm . | awk 'NR==2 {print $$4}'); if [ "$$free" -lt $(NEEDED_DISK_MIB) ] && [ ! -d $(VENV) ]; then echo "AstrID needs $(NEEDED_DISK_MIB) MiB of disk, $$free MiB are free here"; exit 1; fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@if [ "$$(uname -s)" = Linux ] && [ "$${ASTRID_CUDA:-0}" != 1 ]; then \
	  $(BIN)/python -m pip install --quiet --no-deps --only-binary :all: -c constraints.txt 'torch==2.13.0+cpu' 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet --no-deps -c constraints.txt --index-url $(TORCH_CPU_INDEX) 'torch==2.13.0+cpu'; \
	fi
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[platform,dev]'
	@touch $(STAMP)
