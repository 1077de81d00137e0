# `make` makes its own environment; see `make help`.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ONLY ?=
ARGS ?=
TESTS ?= tests

# What the environment, the demo's private D-Bus, and the tests' real hosts and servers need of Debian.
PACKAGES := python3 python3-venv dbus systemd-container debootstrap redis-server postgresql \
  prometheus prometheus-alertmanager victoria-metrics nginx
# Only where there is no npm: one from elsewhere is as good, and does not go together with Debian's.
PACKAGES += $(if $(shell command -v npm),,nodejs npm)

.PHONY: help
help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: $(STAMP)  ## The main job, live: one control plane, three hosts (ARGS=--once: the tour, unattended)
	@$(BIN)/python -m tests.demo $(ARGS)

# Three at a time on two cores: many tests wait for clocks and for other programs.
.PHONY: test
test: $(STAMP)  ## Every test; those that boot real hosts need root
	@if [ "$$(id -u)" = 0 ]; then \
	  $(BIN)/python -m pytest -n 3 --dist worksteal $(TESTS); \
	else \
	  echo "not root: the tests that boot real Debian hosts (tests/fleet) are left out"; \
	  $(BIN)/python -m pytest -n 3 --dist worksteal -m "not host" $(TESTS); \
	fi

.PHONY: check
check: $(STAMP)  ## Style, types, contracts, and that generated code is fresh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@tools/check_proto

.PHONY: gen
gen: $(STAMP)  ## Regenerate gen/ from proto/, and what docs/ and packaging/ repeat of the code
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/gen.py
	$(BIN)/python tools/gen_docs.py
	$(BIN)/python tools/gen_monitoring.py
	$(BIN)/python -m tools.gen_dashboards

.PHONY: bench
bench: $(STAMP)  ## Measure (ONLY=group: one group), write build/bench.json and docs/benchmarks.md
	$(BIN)/python -m tests.bench $(ONLY)

.PHONY: wheel
wheel: $(STAMP)  ## Build the stubs for other programs into build/wheel
	@cd packaging/client && $(abspath $(BIN))/python -m hatchling build -t wheel -d $(abspath build/wheel)

.PHONY: deb
deb:  ## Build the Debian packages into build/deb
	@tools/install_packages python3 python3-venv libpython3.11 binutils lintian
	@/usr/bin/python3 tools/make_deb.py

.PHONY: picture
picture: $(STAMP)  ## Draw docs/live.svg and docs/dashboards/ from a running demo
	$(BIN)/python -m tests.demo --picture docs/live.svg
	$(BIN)/python -m tests.demo --boards docs/dashboards

.PHONY: lock
lock: $(STAMP)  ## Pin every requirement anew, with hashes
	@for extra in agent controlplane ctl dev package; do \
	  $(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --extra $$extra pyproject.toml -o requirements/$$extra.txt || exit 1; \
	done

.PHONY: clean
clean:  ## Remove what make made
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(STAMP): requirements/dev.txt pyproject.toml
	@tools/install_packages $(PACKAGES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
