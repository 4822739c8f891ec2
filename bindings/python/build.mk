# The Python package's part of the top Makefile, which includes it and defines the target `capi`. Paths are from the top.

PYTHON ?= python3
VENV := build/venv
VENV_PYTHON := $(abspath $(VENV)/bin/python)
PYTHON_DIR := bindings/python

.PHONY: versions
versions: c-tables ## write the version of core/producer.go into the C tables, the Python package and the module core/otel
	sed -i 's|\(inlong-dataproxy/inlong-dataproxy\) v.*|\1 v$(VERSION)|' core/otel/go.mod
	sed -i 's/^__version__ = .*/__version__ = "$(VERSION)"/' $(PYTHON_DIR)/inlong_dataproxy/_version.py

.PHONY: stress-python test-python-rounds venv python-lib python-native python-options wheel sdist try-wheel test-python lint-python format-python

venv: $(VENV)/.installed ## make build/venv with what the Python tests and linters need

$(VENV)/.installed: $(PYTHON_DIR)/requirements.txt
	@mkdir -p build
	$(PYTHON) -m venv $(VENV)
	$(VENV_PYTHON) -m pip install --no-compile --quiet --disable-pip-version-check -r $(PYTHON_DIR)/requirements.txt
	@touch $@

python-lib: capi ## build the native libraries; the package of a checkout finds them in build/lib

# What a wheel holds; a source archive builds it by this target, too.
python-native: capi $(TO)/bin/inlong-dataproxy $(TO)/inlong-dataproxy.cdx.json

$(TO)/inlong-dataproxy.cdx.json: $(C_CORE) $(TO)/bin/inlong-dataproxy core/THIRD_PARTY_LICENSES.txt
	$(MAKE_BILL) inlong-dataproxy $(C_CORE) $(TO)/bin/inlong-dataproxy >$@.$$PPID
	mv $@.$$PPID $@

python-options: venv python-lib ## write the Python options' types anew, after a change of options in the core
	cd $(PYTHON_DIR) && $(VENV_PYTHON) generate_options.py

# Wheels need setuptools and auditwheel, and none of the rest that tests and linters do.
WHEEL_VENV := build/tools/wheel
WHEEL_PYTHON := $(abspath $(WHEEL_VENV)/bin/python)
$(WHEEL_VENV)/.installed: $(PYTHON_DIR)/requirements.txt
	$(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_PYTHON) -m pip install --quiet --disable-pip-version-check $$(grep -E '^(setuptools|auditwheel)==' $<)
	@touch $@

wheel: $(WHEEL_VENV)/.installed $(if $(TARGET),dist-native) python-native ## build the wheel for every Python into build/wheel and check its platform tag (TARGET=...)
	rm -rf build/python/setuptools build/python/wheel
	@mkdir -p build/wheel
	INLONG_DATAPROXY_LIB_DIR=$(abspath $(LIB)) $(WHEEL_PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --wheel-dir build/python/wheel ./$(PYTHON_DIR)
	@wheel=$$(echo build/python/wheel/*.whl); tag=$${wheel##*none-}; tag=$${tag%.whl}; \
		shown=$$($(WHEEL_PYTHON) -m auditwheel show $$wheel | tr '\n' ' '); older='manylinux_2_(1[0-9]|2[0-8])_'"$${tag#manylinux_2_*_}"; \
		echo "$$shown" | grep -qE "is consistent with the following platform tag: \"($$tag|$$older)\"" \
		|| { echo "$$wheel: auditwheel does not agree with its tag: $$shown"; exit 1; }
	mv build/python/wheel/*.whl build/wheel/
	@ls -l build/wheel

sdist: $(WHEEL_VENV)/.installed ## build the source archive into build/sdist; it builds where Go, a C compiler and make are
	rm -rf build/sdist
	cd $(PYTHON_DIR) && $(WHEEL_PYTHON) -c 'from setuptools import build_meta; build_meta.build_sdist("../../build/sdist")' >/dev/null
	@ls -l build/sdist/*

try-wheel: venv python-native ## install the wheel for every Python that is found, and send a first message from each
	cd $(PYTHON_DIR) && PYTHONDONTWRITEBYTECODE=1 $(VENV_PYTHON) -m pytest -v tests/test_wheel.py tests/test_sdist.py $(PYTEST_ARGS)

test-python: venv python-native ## run the Python tests
	cd $(PYTHON_DIR) && PYTHONDONTWRITEBYTECODE=1 $(VENV_PYTHON) -m pytest -q -rfEs -n 2 $(PYTEST_ARGS)

# The same tests, but each scenario of many rounds so often: fork, Ctrl-C and exit.
HOST_TESTS_PYTHON := tests/test_fork.py tests/test_servers.py tests/test_interrupt.py tests/test_exit.py
test-python-rounds: venv python-native ## play fork, Ctrl-C and exit in Python again and again (ROUNDS=1000)
	cd $(PYTHON_DIR) && ROUNDS=$(or $(ROUNDS),1000) $(VENV_PYTHON) -m pytest -v --durations=0 $(HOST_TESTS_PYTHON) $(PYTEST_ARGS)

# Each Python of this machine that the package is made for, one after the other.
stress-python: venv python-native ## what may be done to Python clients at a time, for long, with every Python (STRESS_FLAGS=...)
	cd $(PYTHON_DIR)/stress && for python in $$(cd ../tests && $(VENV_PYTHON) -c 'import pythons; print(*(p.path for p in pythons.find()))'); do \
		PYTHONPATH=.. $$python stress.py $(STRESS_FLAGS) || exit 1; done

lint-python: venv ## check the Python code: ruff, mypy --strict, pyright's rules
	cd $(PYTHON_DIR) && $(VENV_PYTHON) -m ruff check .
	cd $(PYTHON_DIR) && $(VENV_PYTHON) -m ruff format --check .
	cd $(PYTHON_DIR) && $(VENV_PYTHON) -m mypy
	cd $(PYTHON_DIR) && $(VENV_PYTHON) -m basedpyright --pythonpath $(VENV_PYTHON)

format-python: venv ## format the Python code
	cd $(PYTHON_DIR) && $(VENV_PYTHON) -m ruff check --fix-only . && $(VENV_PYTHON) -m ruff format .
