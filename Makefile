# `make run` and `make test` do all their set-up themselves; `make help` lists the rest.

CARGO ?= cargo
HELLO := examples/hello
UC := target/debug/uc
GUEST := $(CURDIR)/target/guest
# Seconds for each target of `make fuzz-smoke`.
FUZZ_SECONDS ?= 30

.DEFAULT_GOAL := help
.PHONY: help run test lint deny release guest bench fuzz-smoke setup setup-tests linker clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The development profile: it builds several times sooner than the release one, and its dependencies are optimised.
run: setup ## Build, and run the examples with the choice explained and timings
	$(CARGO) build --package uc-cli
	$(CARGO) xtask example-image $(HELLO)/busybox
	$(UC) explain $(HELLO)/hello.yaml
	$(UC) run $(HELLO)/hello.yaml --timings

test: setup-tests lint guest ## Check formatting, lints and rules, then run every test
	PATH="$(CURDIR)/target/peers:$$PATH" UC_GUEST_PROGRAMS="$(GUEST)" $(CARGO) test --workspace --no-fail-fast

lint: setup ## Check formatting, lints and the repository's rules
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	$(CARGO) xtask tidy

deny: setup ## Check licences, advisories and owners of dependencies (needs cargo-deny)
	@command -v cargo-deny >/dev/null || { \
		echo "cargo-deny is missing; get it with: cargo install --locked cargo-deny" >&2; exit 1; }
	$(CARGO) deny check

# Statically linked, it runs on any Linux of its architecture and starts without a dynamic linker.
release: setup guest ## Build the program as it is released: target/release/uc, statically linked
	$(CARGO) rustc --release --package uc-solver --bin uc-solve -- -C target-feature=+crt-static
	UC_SOLVE="$(CURDIR)/target/release/uc-solve" UC_GUEST="$(GUEST)/uc-guest" UC_FUNCTION="$(GUEST)/uc-function" \
		$(CARGO) rustc --release --package uc-cli --bin uc --features embedded-solver,embedded-guest -- \
		-C target-feature=+crt-static

guest: setup ## Build the programs of a microVM's guest: target/guest/uc-guest and uc-function
	$(CARGO) xtask guest

bench: release ## Measure cold starts beside the peers found on PATH
	$(CARGO) build --release --package uc-wasm --example bare_wasmtime
	target/release/uc bench --wasm-peer target/release/examples/bare_wasmtime

fuzz-smoke: setup ## Fuzz each target for FUZZ_SECONDS (needs cargo-fuzz and a nightly compiler)
	@command -v cargo-fuzz >/dev/null || { \
		echo "cargo-fuzz is missing; get it with: cargo install --locked cargo-fuzz" >&2; exit 1; }
	@for target in $$($(CARGO) +nightly fuzz list); do \
		$(CARGO) +nightly fuzz run "$$target" -- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

setup: linker
	@$(CARGO) xtask setup

setup-tests: linker
	@$(CARGO) xtask setup --for-tests

# The set-up is a Rust program, so what links programs comes first.
linker:
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing; get it from https://rustup.rs" >&2; exit 1; }
	@{ command -v cc && test -e /usr/include/stdio.h; } >/dev/null || { \
		echo "setup: installing gcc libc6-dev"; \
		if [ "$$(id -u)" = 0 ]; then root=; else root="sudo -n"; fi; \
		command -v apt-get >/dev/null \
		&& $$root apt-get -qq update \
		&& $$root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends gcc libc6-dev \
		|| { echo "gcc and libc6-dev are missing (a linker and the C library's headers): install them as root" >&2; exit 1; }; }

clean: ## Remove what was built
	$(CARGO) clean
	rm -rf $(HELLO)/busybox
