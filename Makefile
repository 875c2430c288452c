# Every target sets up what it needs, on Debian and Ubuntu, and says what it installs.

.PHONY: help build demo test lint bench prove soak eval setup setup-bench setup-eval setup-test

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

build: setup ## Compile the programs into target/debug
	cargo build

demo: setup ## Find a leaking program on this machine, as root, within a minute
	cargo build
	scripts/demo.sh

test: setup-test ## Run every test that needs no virtual machine
	scripts/test.sh

lint: setup ## Check formatting and lints
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

bench: setup-bench ## Measure what memleakd costs on this machine, and others, as root
	cargo bench --bench bench

prove: setup-test ## Count how often the function that leaks is named, in 100 captures, as root
	MEMLEAKD_PROOF_RUNS=10 cargo test --test kernel -- --ignored --nocapture \
		sites::the_function_that_leaks_is_named_first

soak: setup-test ## Kill the daemon 200 times while sinks come and go, as root: nothing lost, nothing twice
	MEMLEAKD_SOAK_KILLS=200 cargo test --test kernel -- --ignored --nocapture soak::

eval: setup-eval ## Measure how well leaks are told from health, beside other rules, as root
	cargo bench --bench eval

setup:
	@scripts/setup.sh build

setup-test:
	@scripts/setup.sh test

setup-bench:
	@scripts/setup.sh bench

setup-eval:
	@scripts/setup.sh eval
