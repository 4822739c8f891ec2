# What a release is made of, and what checks the folders .ci and .github: a part of the top Makefile. Paths are from the top.

RELEASE := build/release
TOOLS   := build/tools

ACTIONLINT_VERSION  := v1.7.12
GOVULNCHECK_VERSION := v1.9.0
NFPM_VERSION        := v2.43.0

# ---- What is linked, and whether it is known to be broken
.PHONY: licences vulncheck
licences: ## write core/THIRD_PARTY_LICENSES.txt anew, after a change of what is linked
	$(GO) run ./capi/thirdparty licences >core/THIRD_PARTY_LICENSES.txt.new
	mv core/THIRD_PARTY_LICENSES.txt.new core/THIRD_PARTY_LICENSES.txt

# The database is asked over the network. Where it cannot be, nothing was found out, which is said and is no fault of the code.
vulncheck: $(TOOLS)/govulncheck ## look for known vulnerabilities in what is linked
	@$(TOOLS)/govulncheck ./... >$(TOOLS)/vulncheck.log 2>&1 && { tail -n 1 $(TOOLS)/vulncheck.log; exit 0; }; \
		if grep -q '^govulncheck: fetching vulnerabilities' $(TOOLS)/vulncheck.log; then \
			echo "skip vulncheck: the database cannot be reached: $$(tail -n 1 $(TOOLS)/vulncheck.log)"; \
		else cat $(TOOLS)/vulncheck.log; exit 1; fi

$(TOOLS)/govulncheck: .ci/release.mk
	GOBIN=$(abspath $(TOOLS)) $(GO) install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
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
