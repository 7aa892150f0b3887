# Everything a developer needs; `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
HOME_DIR := $(or $(LMS_HOME),.lms)
TEST_FLAGS ?= -race
TOOLS := $(CURDIR)/.cache/tools
# Leaves gRPC out of Google's storage client, which speaks HTTP here: 20 MB of a
# program and 2 MB of each process. Without it everything works just the same.
export GOFLAGS := $(GOFLAGS) -tags=disable_grpc_modules
# Services that the command lms carries (apps/lms/services.go): one file under
# several names, whose pages all of them share.
CARRIED := $(patsubst apps/%/entry/entry.go,%,$(wildcard apps/*/entry/entry.go))
# Packages whose tests know -update, and write what follows from the code.
DOCUMENTED := $(addsuffix /internal/app,./apps/user ./apps/auth ./apps/course ./apps/enrollment ./apps/content ./apps/assignment ./apps/notification ./apps/payment ./apps/search) ./apps/gateway/internal/edge ./shared/service

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

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

.PHONY: s3
s3: ## Build MinIO, the S3 server that tests run against (once; minutes)
	@go test -count=1 ./shared/testkit/s3test -run TestMinIOIsBuilt

# The tests run the programs of the source tree's own folder.
test chaos bench: HOME_DIR = .lms

.PHONY: test
test: build sidecar s3 ## All tests, also against the whole running system; TEST_FLAGS= leaves the race detector out
	go test -timeout 20m $(TEST_FLAGS) ./...
	cd dapr/sidecar && go test ./...

.PHONY: generate
generate: ## Write the documents that follow from the code: contracts, tables in READMEs
	go run ./shared/contracts/generate
	go test -count=1 $(DOCUMENTED) -run 'README|OpenAPIDocument' -update

.PHONY: fmt
fmt: ## Format all Go code
	@mkdir -p $(TOOLS) && cd deploy/tools && go build -o $(TOOLS)/ mvdan.cc/gofumpt
	@$(TOOLS)/gofumpt -w apps migrations shared dapr

.PHONY: check
check: ## Formatting, vet, linters, known vulnerabilities
	@deploy/tools/check

.PHONY: chaos
chaos: build sidecar ## Kill what can be killed under load and count what is lost (minutes)
	go test -count=1 -v -timeout 60m -tags chaos ./apps/lms/internal/chaos/...

.PHONY: bench
bench: build sidecar ## Measure the whole running system and print the figures (minutes)
	go test -count=1 -v -timeout 60m -tags bench ./apps/lms/internal/bench/...
	go test -count=1 -v -tags bench -run Figures ./apps/notification/internal/app ./apps/search/internal/bleveindex ./apps/search/internal/opensearch
