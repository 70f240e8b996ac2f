# Everything one does with this repository. `make` alone lists it.
SHELL := /bin/bash
CARGO ?= cargo
# Options for `make demo`, such as ARGS="--members 5 --rollback".
ARGS ?=

help: ## List what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: ## Move a real cluster from HTTP to mutual TLS while a client writes (ARGS="--members 5")
	@.ci/install-deps demo
	$(CARGO) run --release --locked --bin etcd-pki -- rehearse $(ARGS)

lab: install-deps ## Real hosts to play with: systemd, sshd, etcd (ARGS="--etcd 3.5.30 --layout kubespray"; root)
	@tests/lab/lab up $(ARGS)

build: ## Build the release binary
	$(CARGO) build --release --locked

# ARCH="x86_64 aarch64" builds for both.
ARCH ?= x86_64
dist: ## Binaries that run anywhere, .deb, .rpm, SBOM and checksums, in target/dist (ARCH=aarch64)
	@packaging/dist $(ARCH)

dist-test: ## Install and run what `make dist` built in systems of Debian 11 and 12 (root)
	@.ci/install-deps dist
	@packaging/test

dist-reproduce: ## Build all of it once more, from another folder, and compare the bytes (ARCH=aarch64)
	@packaging/reproduce $(ARCH)

test: install-deps ## Run every test that this machine can run
	@.ci/test

test-all: install-deps ## The long forms of the tests too; what they measure goes into docs/reliability.md (PART=1/4: a quarter of them alone)
	@ETCDPKI_TEST_ALL=1 PART="$(PART)" .ci/test

# ETCDPKI_FAULTS="ssh,reboot" takes those alone whose name holds one of the words.
reliability: install-deps ## Every fault at every planned step of a migration of real hosts, into docs/reliability.md (root; two hours)
	@ETCDPKI_TEST_ALL=1 .ci/test --test real_hosts -- faults::

lint: lint-code lint-dependencies ## Format, clippy, docs, licences and sources of the dependencies

lint-code:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet

lint-dependencies:
	@.ci/cargo-deny check bans licenses sources

audit: ## Known vulnerabilities of the dependencies (needs the advisory database: github.com)
	@.ci/cargo-deny check advisories

man: ## Write the pages in man/ anew from the command line's own help
	rm -f man/*.1
	$(CARGO) run --locked --quiet --bin etcd-pki -- man --dir man

install-deps: ## What the tests need, from Debian; only what is missing
	@.ci/install-deps test

.PHONY: help demo lab build dist dist-test dist-reproduce test test-all reliability lint lint-code lint-dependencies audit man install-deps
.DEFAULT_GOAL := help
