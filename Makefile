# What there is to do here. `make` alone lists it.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# One profile for everything that is built here, so that nothing is built twice.
PROFILE ?= release
TARGET := $(or $(CARGO_TARGET_DIR),target)
CARGO := cargo --locked

# What runs the processors of `make run`: tcg emulates them anywhere, kvm is as fast as the machine.
ACCELERATOR ?= tcg

# Where `make run-host` listens: name an address of this machine to connect phones from elsewhere.
ADDRESS ?= 127.0.0.1

.PHONY: help check fmt lint layers tidy deny doc build image test run run-host bench bench-large soak clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: fmt lint layers tidy deny doc ## Everything that needs no test run: format, lints, layers, files, dependencies, documentation.

fmt: ## Fail when a file is not formatted.
	cargo fmt --all --check

lint: ## Clippy on everything, warnings are errors.
	$(CARGO) clippy --workspace --all-targets --profile $(PROFILE) -- -D warnings

layers: ## Fail when a crate depends on what it must not know.
	@.ci/layers

tidy: ## Fail on files without a heading, too long, or unfinished.
	@.ci/tidy

deny: ## Check licences, sources, bans and advisories of the dependencies.
	@.ci/deny

doc: ## Build the documentation of the crates; a broken link is an error.
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --profile $(PROFILE)

build: ## Build the daemon and the command.
	$(CARGO) build --workspace --bins --profile $(PROFILE)

image: ## Build the firmware into build/image: disk images, bundle, checksums, bill of materials.
	@.ci/prepare-image
	@image/build

test: ## Install what the tests need, build the firmware that they boot, then run them all.
	@.ci/prepare-tests
	@image/build
	$(CARGO) build --workspace --bins --tests --profile $(PROFILE)
	@# What needed no new link keeps its old date, and the tests would take it for stale.
	@touch $(TARGET)/$(PROFILE)/presenced $(TARGET)/$(PROFILE)/appliance
	$(CARGO) test --workspace --doc --quiet --profile $(PROFILE)
	$(CARGO) nextest run --workspace --cargo-profile $(PROFILE)

run: ## Boot the firmware in QEMU as an MCS-7845, set it up, show it at work, hand it over.
	@.ci/prepare-run
	@image/build
	$(CARGO) build -p lamplight-tests --bin demo --profile $(PROFILE)
	@$(TARGET)/$(PROFILE)/demo --accelerator $(ACCELERATOR)

run-host: ## Start the daemon alone on this machine with two demo users, stay until Ctrl-C.
	$(CARGO) build --workspace --bins --profile $(PROFILE)
	@$(TARGET)/$(PROFILE)/demo --host --address $(ADDRESS)

bench: ## Measure beside the floor of kernel UDP and Kamailio, and print ratios and goals.
	@.ci/prepare-bench
	$(CARGO) build --workspace --bins --profile $(PROFILE)
	@$(TARGET)/$(PROFILE)/load bench
	@$(TARGET)/$(PROFILE)/load lists

bench-large: ## The same with 500,000 subscriptions, and memory; a quarter of an hour.
	@.ci/prepare-bench
	$(CARGO) build --workspace --bins --profile $(PROFILE)
	@$(TARGET)/$(PROFILE)/load bench --large

soak: ## Keep a full node busy for ten minutes and watch its memory.
	$(CARGO) build --workspace --bins --profile $(PROFILE)
	@$(TARGET)/$(PROFILE)/load soak

clean: ## Remove everything that was built.
	$(CARGO) clean
	rm -rf build
