# `make demo` shows what metseg does, `make test` checks it. Both make .venv first; python3, git and make are all they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
INSTALL := $(UV) pip install --python $(BIN)/python --constraint constraints.txt --build-constraint constraints.txt

# Folders of wheels that pip was told of (a CPU build of torch, say); pip parts them by spaces, uv by commas.
space := $(subst ,, )
comma := ,
export UV_FIND_LINKS ?= $(subst $(space),$(comma),$(strip $(PIP_FIND_LINKS)))

# Compiled modules are kept, whatever the shell says: without them every start takes seconds longer.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check lint bench lock clean system

demo: $(VENV)/.installed
	$(BIN)/metseg demo
	@echo "The command metseg lies in $(BIN): say $(BIN)/metseg, or activate that environment first."

# Where Qt cannot be loaded, its plugin would end the whole run; the window's tests then say what is missing.
test: lint
	$(BIN)/python -c 'import PyQt6.QtWidgets' 2>/dev/null || plugin='-p no:pytest-qt'; \
	  $(BIN)/python -m pytest $$plugin

check: lint
	$(BIN)/python -m pytest tests/test_house.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	$(BIN)/metseg bench

# Keeps the pins that still fit; `make lock LOCK=--upgrade` raises them all. Wheels on this machine must not show in it.
lock: $(UV)
	UV_FIND_LINKS= $(UV) pip compile pyproject.toml --universal --all-extras --no-annotate $(LOCK) \
	  --custom-compile-command "make lock" --output-file constraints.txt

# Leaves what training made (.runs) and data (.data) alone.
clean:
	rm -rf $(VENV) build dist metseg.egg-info demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(UV): | system
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "metseg needs Python 3.11 or newer; say which one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv

$(VENV)/.installed: pyproject.toml constraints.txt | $(UV)
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(UV)
	$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

# Installs what is missing of system-packages.txt where it may (root, with apt-get), and says what to do where it may not.
system:
	@missing=$$(grep -v '^#' system-packages.txt | while read -r package probe; do \
	    sh -c "$$probe" >/dev/null 2>&1 || printf '%s ' "$$package"; done); \
	  if [ -z "$$missing" ]; then exit 0; fi; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -qq --yes $$missing; \
	  else echo "Missing on this machine; on Debian or Ubuntu: sudo apt-get install $$missing" >&2; \
	    case "$$missing" in *python3-venv*) exit 1;; esac; fi
