# The Python package's part of the top Makefile, which includes it and defines the target `capi`. Paths are from the top.

PYTHON ?= python3
VENV := build/venv
VENV_PYTHON := $(abspath $(VENV)/bin/python)
PYTHON_DIR := bindings/python

.PHONY: venv python-lib python-options wheel test-python lint-python format-python

venv: $(VENV)/.installed ## make build/venv with what the Python tests and linters need

$(VENV)/.installed: $(PYTHON_DIR)/requirements.txt
	@mkdir -p build
	$(PYTHON) -m venv $(VENV)
	$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check -r $(PYTHON_DIR)/requirements.txt
	@touch $@

python-lib: capi ## build the native libraries; the package of a checkout finds them in build/lib

python-options: venv python-lib ## write the Python options' types anew, after a change of options in the core
	cd $(PYTHON_DIR) && $(VENV_PYTHON) generate_options.py

wheel: venv capi go-programs ## build the wheel for every Python into build/wheel and check its platform tag
	rm -rf build/wheel build/python/setuptools
	INLONG_DATAPROXY_LIB_DIR=$(abspath build/lib) $(VENV_PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --wheel-dir build/wheel ./$(PYTHON_DIR)
	@wheel=$$(echo build/wheel/*.whl); tag=$${wheel##*none-}; tag=$${tag%.whl}; $(VENV_PYTHON) -m auditwheel show $$wheel \
		| tr '\n' ' ' | grep -q "is consistent with the following platform tag: \"$$tag\"" \
		|| { echo "$$wheel: auditwheel does not agree with its tag:"; $(VENV_PYTHON) -m auditwheel show $$wheel; exit 1; }; \
		ls -l $$wheel

test-python: venv python-lib ## run the Python tests
	cd $(PYTHON_DIR) && PYTHONDONTWRITEBYTECODE=1 $(VENV_PYTHON) -m pytest -q $(PYTEST_ARGS)

lint-python: venv ## check the Python code: ruff, mypy --strict, pyright's rules
	cd $(PYTHON_DIR) && $(VENV_PYTHON) -m ruff check .
	cd $(PYTHON_DIR) && $(VENV_PYTHON) -m ruff format --check .
	cd $(PYTHON_DIR) && $(VENV_PYTHON) -m mypy
	cd $(PYTHON_DIR) && $(VENV_PYTHON) -m basedpyright --pythonpath $(VENV_PYTHON)

format-python: venv ## format the Python code
	cd $(PYTHON_DIR) && $(VENV_PYTHON) -m ruff check --fix-only . && $(VENV_PYTHON) -m ruff format .
