# Every target sets up what it needs, on Debian and Ubuntu, and says what it installs.

.PHONY: help build demo test lint bench prove soak eval
.PHONY: release install deb rpm lint-packages copyright vm-test vm-matrix arm64 arm64-test
.PHONY: pictures setup setup-pictures setup-arm64 setup-arm64-test setup-bench setup-eval setup-matrix setup-package setup-test
.PHONY: setup-vm

help: ## This list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: setup ## Compile the programs into target/debug
	cargo build

demo: setup ## Find a leaking program on this machine, as root, within a minute
	cargo build
	scripts/demo.sh

test: setup-test ## Run every test that needs no virtual machine
	scripts/test.sh

vm-test: setup-vm deb rpm ## Boot Debian 12 and 13 with the package, and try all of it there, as root
	scripts/vm-test.sh

vm-matrix: setup-matrix deb ## Boot virtual machines with kernels from 5.10 to the newest, and try it there
	scripts/vm-matrix.sh

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

release: setup ## Compile the programs into target/release, as packages have them
	cargo build --release --locked

install: ## Copy what "make release" made, and all that goes with it, below DESTDIR
	$(if $(filter-out /usr,$(PREFIX)),$(error PREFIX is /usr and can be no other: units and the bus name /usr/bin))
	scripts/install.sh $(DESTDIR)

deb: setup-package release ## Make .deb packages in target/packages
	scripts/deb.sh

rpm: setup-package release ## Make .rpm packages in target/packages
	scripts/rpm.sh

lint-packages: deb rpm ## Check both with lintian and rpmlint, warnings are errors
	scripts/lint-packages.sh

copyright: setup ## Write anew whose code the programs contain, after dependencies have changed
	scripts/copyright.py

arm64: setup-arm64 ## Compile the programs for 64-bit ARM into target/aarch64-unknown-linux-gnu
	scripts/arm64.sh

arm64-test: setup-arm64-test ## Run them in an emulated 64-bit ARM machine, whose leaks they find
	cargo build
	scripts/arm64.sh
	scripts/arm64-test.sh

pictures: setup-pictures ## Take the pictures of docs anew, from real runs, as root
	cargo build
	scripts/pictures.sh

setup:
	@scripts/setup.sh build

setup-pictures:
	@scripts/setup.sh pictures

setup-package:
	@scripts/setup.sh package

setup-test:
	@scripts/setup.sh test

setup-bench:
	@scripts/setup.sh bench

setup-eval:
	@scripts/setup.sh eval

setup-arm64:
	@scripts/setup.sh arm64

setup-arm64-test:
	@scripts/setup.sh arm64-test

setup-vm:
	@scripts/setup.sh vm

setup-matrix:
	@scripts/setup.sh matrix
