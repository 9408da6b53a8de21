# hacheck: `make help` lists the targets.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 5m
GO          := go
GO_TEST_FLAGS ?=

# -buildvcs=auto records the commit where there is one; the version comes from git.
# nethttpomithttp2: the HTTP clients here dial for themselves, for which net/http
# leaves HTTP/2 out; the tag leaves it out of the program, too (0.36 MB).
BUILD_FLAGS := -trimpath -buildvcs=auto -tags nethttpomithttp2 -ldflags '-s -w -X main.version=$(VERSION)'

.PHONY: help
help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the static binary bin/hacheck (GOARCH=arm64 for the other platform)
	CGO_ENABLED=0 $(GO) build $(BUILD_FLAGS) -o bin/hacheck ./cmd/hacheck

.PHONY: demo
demo: ## see it work: a real HAProxy on loopback, its check and its mail
	@test/install demo
	@$(MAKE) --no-print-directory build
	@$(GO) run ./test/demo -hacheck bin/hacheck

.PHONY: test
test: ## install what the tests need and run them
	@test/install test
	$(GO) test $(GO_TEST_FLAGS) ./...

.PHONY: race
race: ## run the tests under the race detector
	@test/install test race
	CGO_ENABLED=1 $(GO) test -race ./...

.PHONY: lint
lint: ## gofmt, vet and staticcheck, the lab included
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt would change:" $$unformatted; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags lab,release ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(STATICCHECK) -tags lab,release ./test/...
	@test/install lint
	shellcheck .ci/run test/install $$(git ls-files '*.sh')
	shellcheck --shell=sh packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm packaging/rpm/pre packaging/rpm/post packaging/rpm/preun packaging/rpm/postun

.PHONY: lab
lab: ## two real nodes with systemd, keepalived and HAProxy fail over (root, about 10 minutes)
	@test/install lab
	$(GO) test -tags lab -count=1 -timeout 25m -v ./test/lab

.PHONY: packages
packages: ## build dist: deb, rpm and archive for both platforms, checksums, bill of materials
	$(GO) run ./packaging/release -out dist

.PHONY: release
release: ## the same from a work tree without changes; the version is the tag's
	$(GO) run ./packaging/release -clean -out dist

.PHONY: package-test
package-test: ## build the packages twice, check and install them (root, about 5 minutes)
	@test/install test package
	$(GO) test -tags release -count=1 -timeout 20m -v ./test/release

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (default 5m each)
	@test/install test
	@for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' "$$package" | grep '^Fuzz' || true); do \
	    echo "== $$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package"; \
	  done; \
	done

.PHONY: bench
bench: ## measure against the usual script and an empty Go program, in one run
	@test/install bench
	@$(MAKE) --no-print-directory build
	CGO_ENABLED=0 $(GO) build -o bin/empty ./bench/empty
	$(GO) run ./bench

.PHONY: screenshots
screenshots: ## see the HTML mails as Chromium shows them: build/screenshots
	@test/install screenshots
	@test/screenshots.sh

.PHONY: clean
clean: ## remove what the targets built
	rm -rf bin dist build
