# Every target sets up what it needs by itself: .venv with the versions in constraints.txt,
# node_modules with the one in package.json, and the few Debian packages that something needs
# (named when they cannot be installed). Programs are started as modules: the scripts in .venv/bin
# name the folder that they were installed for, and fail in a clone that was renamed.

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
READY := .venv/.headframe-ready
TSC := node_modules/.bin/tsc
# Tests that no other test beside them can disturb: they run two at a time.
CLOCKLESS := $(addprefix tests/,core chain dbw ecu proof protocol sim adapters agent keys render hil replay \
  media/test_strip.py media/test_h264.py media/test_encoder_choice.py media/test_framebuffer.py)
# Browser tests of the pages: each file has a page of its own, and two of them run at a time.
PAGES := $(wildcard tests/console/test_page*.py)
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help setup demo check test test-kernel bench mutate clean

help:
	@printf '%s\n' \
	  'make demo    drive a simulated machine in the browser (ARGS="--driver scripted --seconds 60")' \
	  'make test    all tests (ARGS="tests/ops -k broker" for some)' \
	  'make check   format, lint, types, imports' \
  'make test-kernel  real drivers in a guest kernel: SocketCAN, V4L2, evdev, netem' \
	  'make bench   all benchmarks (ARGS=--quick for short runs)' \
	  'make mutate  mutation tests of the parts that keep people safe (ARGS=gate for one)' \
	  'make clean   remove the virtual environment and caches'

$(READY): pyproject.toml constraints.txt .ci/needs
	@PYTHON="$(PYTHON)" .ci/needs "$(PYTHON)=python3" py:ensurepip=python3-venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'headframe: needs Python 3.11 or newer; say which with make PYTHON=python3.12' >&2; exit 1; }
	@.ci/needs libGL.so.1=libgl1 libgthread-2.0.so.0=libglib2.0-0
	@echo 'headframe: setting up .venv, once, with about 400 MB of packages' >&2
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
	  $(BIN)/python -m pip install --no-input --progress-bar off -c constraints.txt -e '.[dev]' >&2
	@touch $@

$(TSC): package.json .ci/needs
	@.ci/needs node=nodejs npm=npm
	@npm install --no-package-lock --ignore-scripts --no-audit --no-fund >&2
	@touch $@

setup: $(READY)

demo: $(READY)
	@$(BIN)/python -m headframe demo $(ARGS)

check: $(READY) $(TSC)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy
	$(TSC) -p .
	$(BIN)/python -c 'import sys; from importlinter.cli import lint_imports_command as run; sys.exit(run())'
	$(BIN)/python -m vehicle_agent.describe --check
	$(BIN)/python -m tests.trace --check

test: $(READY)
	@.ci/needs chromium=chromium mosquitto=mosquitto turnserver=coturn \
	  fc-list=fontconfig font:zh=fonts-wqy-microhei
ifeq ($(ARGS),)
	$(BIN)/python -m pytest --numprocesses 2 $(CLOCKLESS)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(PAGES)
	$(BIN)/python -m pytest $(addprefix --ignore=,$(CLOCKLESS) $(PAGES))
else
	$(BIN)/python -m pytest $(ARGS)
endif

# Not part of test: it boots a kernel under emulation. ARGS names test files to run there instead.
test-kernel: $(READY)
	@.ci/needs qemu-system-x86_64=qemu-system-x86 depmod=kmod busybox=busybox-static \
	  ip=iproute2 mosquitto=mosquitto
	@$(BIN)/python -c 'import virtme, gpiod' 2>/dev/null || PIP_DISABLE_PIP_VERSION_CHECK=1 \
	  $(BIN)/python -m pip install --no-input -c constraints.txt -e '.[kernel]' >&2
	$(BIN)/python -m hil.kernel test --out out/kernel $(ARGS)

bench: $(READY)
	@.ci/needs mosquitto=mosquitto
	@failed=; for file in benchmarks/[a-z]*.py; do \
	  name=$$(basename $$file .py); \
	  [ $$name = common ] || $(BIN)/python -m benchmarks.$$name $(ARGS) || failed="$$failed $$name"; \
	done; [ -z "$$failed" ] || { echo "headframe: benchmarks that failed:$$failed" >&2; exit 1; }

mutate: $(READY)
	$(BIN)/python -m tests.mutation $(ARGS)

clean:
	rm -rf .venv node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
