# What a release is made of, and what checks the folders .ci and .github: a part of the top Makefile. Paths are from the top.

RELEASE := build/release
TOOLS   := build/tools

# Each library and program of a release contains the runtime and standard library of this Go. It has no known holes, and is the same on
# every machine.
RELEASE_GO := go1.26.11

ACTIONLINT_VERSION  := v1.7.12
GOVULNCHECK_VERSION := v1.9.0
NFPM_VERSION        := v2.43.0
APIDIFF_VERSION     := v0.0.0-20261113113407-e3970619a1a4
GRIFFE_VERSION      := 2.4.1

# ---- What is linked, and whether it is known to be broken
.PHONY: licences vulncheck
licences: ## write core/THIRD_PARTY_LICENSES.txt anew, after a change of what is linked
	$(GO) run ./capi/thirdparty licences >core/THIRD_PARTY_LICENSES.txt.new
	mv core/THIRD_PARTY_LICENSES.txt.new core/THIRD_PARTY_LICENSES.txt

# The database is a Go module, so anybody who can fetch dependencies can fetch it. It is always the newest: no change here is needed to hear
# of a new hole. Where it cannot be fetched, nothing was found out: that is said, and is no fault of the code.
vulncheck: $(TOOLS)/govulncheck ## look for known vulnerabilities in what a release links, and in the Go that builds it
	@if ! found=$$(cd / && $(GO) mod download -json golang.org/x/vulndb@latest 2>&1); then echo "skip vulncheck: no database:" $$found; exit 0; fi; \
	db=file://$$(printf '%s' "$$found" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')/data/osv; export GOTOOLCHAIN=$(RELEASE_GO); \
	$(TOOLS)/govulncheck -db "$$db" ./... && $(TOOLS)/govulncheck -db "$$db" -C $(OTEL) ./...

$(TOOLS)/govulncheck: .ci/release.mk
	GOTOOLCHAIN=$(RELEASE_GO) GOBIN=$(abspath $(TOOLS)) $(GO) install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	@touch $@

# ---- Folders that no compiler sees
.PHONY: lint-workflows lint-image
lint: lint-workflows lint-image

lint-workflows: $(TOOLS)/actionlint ## check the workflows in .github
	$(TOOLS)/actionlint
	@! grep -nE 'uses: [^#]*@' .github/workflows/*.yml | grep -vE '@[0-9a-f]{40} # v[0-9.]+$$' || { echo "an action without its hash"; exit 1; }

$(TOOLS)/actionlint: .ci/release.mk
	GOBIN=$(abspath $(TOOLS)) $(GO) install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)
	@touch $@

IMAGE_FILE := core/cmd/inlong-dataproxy/Dockerfile
lint-image: $(CLANG_FORMAT) ## check the Dockerfile
	$(TOOLS)/venv/bin/hadolint $(IMAGE_FILE)

# ---- A release
.PHONY: release print-version print-series check-tag changes image-context
release: export GOTOOLCHAIN = $(RELEASE_GO)
release: $(TOOLS)/nfpm ## build everything that a release has into build/release
	.ci/release

$(TOOLS)/nfpm: .ci/release.mk
	GOBIN=$(abspath $(TOOLS)) $(GO) install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM_VERSION)
	@touch $@

print-version:
	@echo $(VERSION)
print-series:
	@echo $(SERIES)

check-tag: ## compare a tag with the version of the source (TAG=v0.1.0)
	@[ '$(TAG)' = 'v$(VERSION)' ] || { echo "tag $(TAG): the version of the source is $(VERSION) (core/producer.go)" >&2; exit 1; }
	@grep -qE '^## $(subst .,\.,$(VERSION))([^0-9.]|$$)' core/CHANGELOG.md || { echo "core/CHANGELOG.md says nothing of $(VERSION)" >&2; exit 1; }

changes: ## print what the changelog says of this version
	@awk '/^## / { inside = /^## $(subst .,\.,$(VERSION))([^0-9.]|$$)/; next } inside' core/CHANGELOG.md

# What the Dockerfile copies, of a release that is built: the program for both processors.
image-context: ## lay out what the image is built from in build/image
	rm -rf build/image && mkdir -p build/image/doc
	for arch in amd64 arm64; do \
		tar -C build/image -xzf build/release/inlong-dataproxy-$(VERSION)-linux-$$arch.tar.gz; \
		mv build/image/inlong-dataproxy-$(VERSION)-linux-$$arch build/image/$$arch; done
	mv build/image/amd64/[A-Z]* build/image/doc

.PHONY: test-release test-wheel
test-release: ## build the release of the last commit twice, compare, and try what came out (CACHE=shared: faster)
	.ci/test-release

# Of the tests those that start no process of their own: such a process looks for the package in the checkout.
WHEEL_TESTS := $(addprefix tests/test_,$(addsuffix .py,send futures send_many options bad_input async_many life))
test-wheel: ## run Python tests with the wheel in build/wheel, installed for PYTHON
	rm -rf build/python/try && $(PYTHON) -m venv build/python/try
	build/python/try/bin/python -m pip install --quiet --disable-pip-version-check pytest pytest-timeout
	build/python/try/bin/python -m pip install --quiet --disable-pip-version-check --no-index --find-links build/wheel inlong-dataproxy
	cd bindings/python && PYTHONDONTWRITEBYTECODE=1 $(abspath build/python/try)/bin/pytest -q -rs -o pythonpath=tests $(WHEEL_TESTS) $(PYTEST_ARGS)

# ---- What changed since the last release, and whether its number allows that
.PHONY: api-diff
api-diff: $(TOOLS)/apidiff ## compare the interfaces of Go, C and Python with the last release
	@TOOLS=$(abspath $(TOOLS)) PYTHON='$(PYTHON)' GRIFFE_VERSION=$(GRIFFE_VERSION) .ci/api-diff $(VERSION)

$(TOOLS)/apidiff: .ci/release.mk
	GOBIN=$(abspath $(TOOLS)) $(GO) install golang.org/x/exp/cmd/apidiff@$(APIDIFF_VERSION)
	@touch $@
