# The only commands anyone needs. Each makes its own .venv when it is absent.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.sealbid
JOBS ?= 2
REAL ?=

.PHONY: demo test setup bench lint proto clean lock
.DEFAULT_GOAL := demo

$(STAMP): pyproject.toml requirements.lock setup.py $(wildcard cleanroom/oprf/*.c cleanroom/oprf/*.h bidder/dsp/*.c)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Sealbid needs Python 3.11 or newer (PYTHON=...)"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

setup: $(STAMP)  ## make the environment from the locked versions

demo: $(STAMP)  ## the whole closed loop; REAL=../shared/data runs it on real input
	$(PY) -m examples.closed_loop $(if $(REAL),--real $(REAL),)

test: $(STAMP)  ## the whole test suite
	$(PY) -m pytest -n $(JOBS) --dist worksteal

lint: $(STAMP)  ## ruff and mypy --strict
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: $(STAMP)  ## every benchmark at a size for a laptop
	$(PY) -m benchmarks

proto: $(STAMP)  ## generate the code beside the .proto files
	$(PY) -m protos.generate

lock: $(STAMP)  ## resolve requirements.lock anew from pyproject.toml
	$(PY) -m pip install --quiet uv
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev --no-header --no-emit-index-url pyproject.toml build-requirements.in -o requirements.lock

clean:
	rm -rf $(VENV) build out *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find cleanroom bidder -name '*.so' -delete
