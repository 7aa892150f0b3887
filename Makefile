# Everything a developer needs; `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
HOME_DIR := $(or $(LMS_HOME),.lms)
TEST_FLAGS ?= -race
TOOLS := $(CURDIR)/.cache/tools
# Leaves gRPC out of Google's storage client, which speaks HTTP here: 20 MB of a
# program and 2 MB of each process. Without it everything works just the same.
TAGS := disable_grpc_modules
export GOFLAGS := $(GOFLAGS) -tags=$(TAGS)
# Services that the command lms carries (apps/lms/services.go): one file under
# several names, whose pages all of them share.
CARRIED := $(patsubst apps/%/entry/entry.go,%,$(wildcard apps/*/entry/entry.go))
# Packages whose tests know -update, and write what follows from the code.
DOCUMENTED := $(addsuffix /internal/app,./apps/user ./apps/auth ./apps/course ./apps/enrollment ./apps/content ./apps/assignment ./apps/notification ./apps/payment ./apps/search ./apps/analytics) ./apps/gateway/internal/edge ./shared/service

.PHONY: help
help: ## This list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

.PHONY: run
run: build ## Build and run everything on this machine (Ctrl-C stops it); ARGS="--only course"
	@exec $(HOME_DIR)/bin/lms up --no-build $(ARGS)

.PHONY: build
build: ## Build every command into .lms/bin
	@mkdir -p $(HOME_DIR)/bin
	@go build -o $(HOME_DIR)/bin/ $(filter-out $(CARRIED:%=./apps/%),$(patsubst %/main.go,./%,$(wildcard apps/*/main.go)))
	@for s in $(CARRIED); do ln -f $(HOME_DIR)/bin/lms $(HOME_DIR)/bin/$$s; done

.PHONY: sidecar
sidecar: ## Build the sidecar (once; minutes) and put it into .lms/bin
	@mkdir -p $(HOME_DIR)/bin
	@go run ./apps/lms sidecar

.PHONY: sidecar-full
sidecar-full: ## Build Dapr's own daprd with all components (once; 15 minutes); LMS_SIDECAR=.lms/bin/daprd-full make run
	@mkdir -p $(HOME_DIR)/bin
	@go run ./apps/lms sidecar --full

.PHONY: s3
s3: ## Build MinIO, the S3 server that tests run against (once; minutes)
	@go test -count=1 ./shared/testkit/s3test -run TestMinIOIsBuilt

.PHONY: browser
browser: ## Find a browser for the tests, or install Debian's Chromium (once)
	@deploy/tools/browser >/dev/null

# The tests run the programs of the source tree's own folder.
test chaos matrix matrix-controls matrix-short bench: HOME_DIR = .lms

.PHONY: test
test: build sidecar s3 browser ## All tests, also against the whole running system; TEST_FLAGS= leaves the race detector out
	go test -timeout 20m $(TEST_FLAGS) ./...
	cd dapr/sidecar && go test ./...

.PHONY: generate
generate: ## Write what follows from the code: contracts, tables in READMEs, deployment files
	go run ./shared/contracts/generate
	go test -count=1 $(DOCUMENTED) -run 'README|OpenAPIDocument' -update
	go test -count=1 ./apps/lms/internal/manifest ./apps/lms/internal/profile -run 'Tables|Catalogue' -update

.PHONY: fmt
fmt: ## Format all Go code
	@mkdir -p $(TOOLS) && cd deploy/tools && go build -o $(TOOLS)/ mvdan.cc/gofumpt
	@$(TOOLS)/gofumpt -w apps migrations shared dapr deploy/verify

.PHONY: check
check: ## Formatting, vet, linters, deployment files, known vulnerabilities
	@deploy/tools/check

# Images, where there is an engine.
REGISTRY := $(or $(LMS_REGISTRY),lms)
VERSION := $(or $(LMS_VERSION),dev)
BUILDX := docker buildx build --sbom=true --provenance=true --load

.PHONY: images
images: ## Build the images lms and sidecar (needs a container engine with buildx)
	@docker buildx version >/dev/null 2>&1 || { echo "there is no container engine with buildx here; make check reads deploy/images instead"; exit 1; }
	$(BUILDX) -f deploy/images/lms.Dockerfile -t $(REGISTRY)/lms:$(VERSION) .
	$(BUILDX) -f deploy/images/sidecar.Dockerfile -t $(REGISTRY)/sidecar:$(VERSION) .

.PHONY: compose-test
compose-test: images ## Start every profile of deploy/compose in containers (needs a container engine)
	cd deploy/verify && go test -count=1 -v -timeout 60m -tags engine -run TestComposeInContainers .

.PHONY: chaos
chaos: build sidecar ## Kill what can be killed under load and count what is lost (40 minutes)
	go test -count=1 -v -timeout 60m -tags $(TAGS),chaos ./apps/lms/internal/chaos/...

.PHONY: matrix
matrix: build sidecar ## Run the same programs on every profile, break everything, count what is lost (40 minutes)
	go test -count=1 -v -timeout 90m -tags $(TAGS),chaos,matrix -run 'TestMatrix$$' ./apps/lms/internal/chaos/

.PHONY: matrix-controls
matrix-controls: build sidecar ## Show that the matrix sees a loss, and run the suites of state on every store (15 minutes)
	go test -count=1 -v -timeout 40m -tags $(TAGS),chaos,matrix -run 'TestMatrixSeesALoss$$|TestStateStores$$' ./apps/lms/internal/chaos/

.PHONY: matrix-short
matrix-short: build sidecar ## The same with a tenth of the commands (15 minutes)
	LMS_TEST_MATRIX=short go test -count=1 -v -timeout 30m -tags $(TAGS),chaos,matrix -run 'TestMatrix$$' ./apps/lms/internal/chaos/

.PHONY: bench
bench: build sidecar ## Measure the whole running system and print the figures (minutes)
	go test -count=1 -v -timeout 60m -tags $(TAGS),bench ./apps/lms/internal/bench/...
	go test -count=1 -v -tags $(TAGS),bench -run Figures ./apps/notification/internal/app ./apps/analytics/internal/app ./apps/search/internal/bleveindex ./apps/search/internal/opensearch
