# Names for the plain commands; every one can be typed by hand.
SHELL := bash

.PHONY: help setup setup-tests setup-lint setup-browser try-browser try-cluster peers rivals paper paper-run build demo \
	browser check test test-rust test-c test-python test-rivals test-browser fuzz stress lint lint-rust lint-other \
	format picture doc clean
.NOTPARALLEL:

help: ## this list
	@echo "make demo    sets up what is missing, builds, and segments the bundled CT (first run: about 10 minutes)"
	@echo "make test    sets up what is missing and runs every test of every language"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

setup: ## installs cmake, ninja and libtorch into this folder (tools/setup.sh)
	@tools/setup.sh

build: setup ## library and command, optimised, in target/release
	cargo build --release --locked

demo: setup ## segments the bundled CT through the C interface; results in out/demo
	@tools/demo.sh

VOLUME ?= examples/demo/data/sts_ct_012.nii.gz
browser: build .venv-browser/mem3d-app.installed ## the example in a browser, on 127.0.0.1:8080; VOLUME=FILE for another volume
	.venv-browser/bin/python slicer-module/examples/trame_app.py $(VOLUME)

check: ## the quick turn: format, clippy, unit tests, layers, header, columns
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked --lib --test layers --test header --test columns

test: setup-tests try-browser try-cluster test-rust test-c test-python ## every test

setup-tests:
	@tools/setup.sh --python-tests

setup-package:
	@tools/setup.sh --package

setup-lint:
	@tools/setup.sh --lint

setup-browser: setup-tests .venv-browser/mem3d.installed
	@.venv-browser/bin/python tests/python/support/browser_user.py --chromium || \
	  PLAYWRIGHT_BROWSERS_PATH=0 .venv-browser/bin/python -m playwright install chromium

# Where the system has a Chromium, the test in a browser is part of make test; only make test-browser downloads one.
try-browser: setup-tests
	@if command -v chromium chromium-browser google-chrome >/dev/null || [ -e .venv-browser/mem3d.installed ]; then \
	  $(MAKE) --no-print-directory .venv-browser/mem3d.installed || \
	    echo "no .venv-browser: the test in a browser will be skipped"; \
	else echo "no Chromium: the test in a browser will be skipped; make test-browser gets one"; fi

# Snakemake and Dask, with which the tests run examples/cluster.
try-cluster: setup-tests
	@$(MAKE) --no-print-directory .venv-cluster/mem3d.installed || \
	  echo "no .venv-cluster: the tests of examples/cluster with Snakemake and Dask will be skipped"

.venv-cluster/mem3d.installed: tests/python/requirements-cluster.txt
	.venv/bin/python -m venv .venv-cluster # apart: Snakemake brings many packages
	.venv-cluster/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	cp $< $@

peers: setup ## installs the classical tools that mem3d evaluate measures beside it (tools/peers)
	.venv/bin/python -m venv .venv-peers # apart: ITK imports any PyTorch beside it, and .venv's has no CUDA libraries
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r tools/peers/requirements.txt

rivals: setup .venv-rivals/mem3d.installed ## installs the paper's rivals: PyTorch and MONAI, more than 2 GB

.venv-rivals/mem3d.installed: tools/peers/rivals/requirements.txt
	.venv/bin/python -m venv .venv-rivals
	.venv-rivals/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	cp $< $@

# docs/evaluation.md, "The paper's tables, on open data". A finished part is not run again.
PAPER_TRAIN ?=
PAPER_TEST ?=
# Labels of PAPER_TRAIN that are never targets (JSON), and a folder of synthetic cases; both may be empty.
PAPER_EXCLUDE ?=
PAPER_SYNTHETIC ?=
PAPER_OUT ?= out/paper
# Minutes of processor time of each training.
PAPER_MINUTES ?= 120
PAPER_RIVALS ?= unet3d deepigeos
PAPER_SIZES ?= small large
PAPER_ROUNDS ?= 6
PAPER_INTERACTIONS ?= scribble,box,extreme_points
# Runs with slices at random.
PAPER_RANDOM_RUNS ?= 3
# What the large rivals answer, and the rounds after which tools other than mem3d are asked.
PAPER_LARGE_INTERACTIONS ?= $(PAPER_INTERACTIONS)
PAPER_ASKED ?= 1,3,6
# Further options of mem3d evaluate.
PAPER_OPTIONS ?=
MEM3D ?= target/release/mem3d
PEERS_PYTHON ?= .venv-peers/bin/python
RIVALS_PYTHON ?= .venv-rivals/bin/python

paper: build peers rivals paper-run ## the paper's tables: PAPER_TRAIN=FOLDER PAPER_TEST=FOLDER; trains for hours, resumes

paper-run:
	@[ -n "$(PAPER_TRAIN)" ] && [ -n "$(PAPER_TEST)" ] || { echo "make paper: name two folders of cases, as in" \
	  "make paper PAPER_TRAIN=cases/train PAPER_TEST=cases/test; see docs/evaluation.md"; exit 2; }
	$(MEM3D) evaluate $(PAPER_TEST) --out $(PAPER_OUT)/evaluation --record $(PAPER_OUT)/rounds --resume --threads 1 \
	  --interactions $(PAPER_INTERACTIONS) --select quality --rounds $(PAPER_ROUNDS) $(PAPER_OPTIONS) >/dev/null
	$(MEM3D) evaluate $(PAPER_TEST) --out $(PAPER_OUT)/selection --resume --threads 1 --interactions mask \
	  --select quality,random,oracle --random-runs $(PAPER_RANDOM_RUNS) --rounds $(PAPER_ROUNDS) $(PAPER_OPTIONS) >/dev/null
	for rival in $(PAPER_RIVALS); do for size in $(PAPER_SIZES); do \
	  PYTHONPATH=tools/peers $(RIVALS_PYTHON) -m rivals.train $$rival --size $$size --data $(PAPER_TRAIN) \
	    $(addprefix --exclude ,$(PAPER_EXCLUDE)) $(addprefix --synthetic ,$(PAPER_SYNTHETIC)) \
	    --minutes $(PAPER_MINUTES) --out $(PAPER_OUT)/$${rival}_$$size || exit 1; \
	done; done
	for size in $(PAPER_SIZES); do \
	  [ $$size = large ] && drawings=$(PAPER_LARGE_INTERACTIONS) || drawings=$(PAPER_INTERACTIONS); \
	  PYTHONPATH=tools/peers $(RIVALS_PYTHON) -m rivals.predict $(PAPER_OUT)/rounds --rounds $(PAPER_ASKED) \
	    --drawings $$drawings $(foreach rival,$(PAPER_RIVALS),$(PAPER_OUT)/$(rival)_$$size) || exit 1; \
	done
	-$(PEERS_PYTHON) tools/peers/run.py $(PAPER_OUT)/rounds --rounds $(PAPER_ASKED) # masks of other targets are kept
	[ -e $(PAPER_OUT)/scored ] && [ -z "$$(find $(PAPER_OUT)/rounds -name '*.json' -newer $(PAPER_OUT)/scored)" ] || { \
	  $(MEM3D) evaluate --score $(PAPER_OUT)/rounds --out $(PAPER_OUT)/evaluation >/dev/null && \
	  touch $(PAPER_OUT)/scored; }
	$(RIVALS_PYTHON) tools/peers/paper.py $(PAPER_OUT)/evaluation $(PAPER_OUT)/rounds \
	  --selection $(PAPER_OUT)/selection --out $(PAPER_OUT)

test-rust: setup-tests ## cargo test
	cargo test --locked

test-c: setup-tests ## C and C++ tests of the built library, by CTest, then once more with AddressSanitizer and UBSan
	PATH="$(CURDIR)/.venv/bin:$$PATH" cmake --workflow --preset test
	PATH="$(CURDIR)/.venv/bin:$$PATH" cmake --workflow --preset asan

test-python: setup-tests ## tests of the Python binding and of the written files
	.venv/bin/python -m pytest tests/python

test-rivals: rivals ## tests of the paper's rivals, which make test skips
	.venv-rivals/bin/python -m pytest tests/python/test_rivals.py tests/python/test_rivals_data.py

test-browser: setup-browser ## the browser example in Chromium; gets .venv-browser, and Chromium if there is none
	.venv/bin/python -m pytest -rs tests/python/test_slicer_browser.py

.venv-browser/mem3d-app.installed: slicer-module/examples/requirements.txt
	.venv/bin/python -m venv .venv-browser
	.venv-browser/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	cp $< $@

.venv-browser/mem3d.installed: tests/python/requirements-browser.txt .venv-browser/mem3d-app.installed
	.venv-browser/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	cp $< $@

# Needs a nightly compiler and cargo-fuzz (cargo install cargo-fuzz).
FUZZ_SECONDS ?= 600
fuzz: setup ## every fuzzer for ten minutes (FUZZ_SECONDS=N for another time)
	cp Cargo.lock fuzz/Cargo.lock
	for target in $(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs))); do mkdir -p out/fuzz/$$target; \
	  LD_LIBRARY_PATH="$(CURDIR)/.libtorch/lib" \
	    cargo +nightly fuzz run $$target out/fuzz/$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) \
	    -rss_limit_mb=4096 || exit 1; \
	done

stress: build setup-tests ## kills saves, batches and trainings while they write, 50 times each
	.venv/bin/python tools/stress.py

# The generated header is formatted by its generator.
C_FILES = $(shell git ls-files '*.c' '*.cc' '*.cpp' '*.h' '*.hpp' ':!include/mem3d.h')

lint: setup-lint lint-rust lint-other ## format, clippy, documentation, header, columns; Python, C and C++, workflows

lint-rust:
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	cargo test --locked --test header --test columns

lint-other:
	.venv/bin/python -m ruff check
	.venv/bin/clang-format --dry-run -Werror $(C_FILES)
	.venv/bin/python -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

format: setup-lint ## formats Rust, C and C++, and sorts Python's imports
	cargo fmt --all
	.venv/bin/clang-format -i $(C_FILES)
	.venv/bin/python -m ruff check --select I --fix

picture: ## after make demo: the picture that README shows, from the demo's
	.venv/bin/python -m pip install --quiet pillow
	.venv/bin/python -c "from PIL import Image; picture = Image.open('out/demo/overview.png').convert('RGB'); \
	  picture.save('docs/images/demo.jpg', quality=85, optimize=True)"

doc: ## the Rust documentation, in target/doc
	cargo doc --locked --no-deps

.PHONY: setup-package wheel dist sbom licences
# Two builds of one commit give the same bytes. Not exported to cargo: a change of it builds libtorch's glue anew.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1577836800)
PACK = SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/python

VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
# Of this name only: the archives of make dist begin with it.
SDIST = dist/mem3d-$(VERSION).tar.gz

wheel: build setup-package ## the Python package: wheel and source archive, in dist
	rm -f dist/mem3d-*.whl $(SDIST)
	$(PACK) -m hatchling build -d dist -t wheel -t sdist
	.venv/bin/python -m twine check --strict dist/mem3d-*.whl $(SDIST)
	[ "$$(uname)" != Linux ] || .venv/bin/python -m auditwheel show dist/mem3d-*.whl

dist: build setup-package ## relocatable archives for C and C++ hosts, with and without libtorch, in dist
	$(PACK) tools/dist.py

sbom: setup-package ## the bill of materials (CycloneDX) of wheels and archives, in dist
	$(PACK) tools/sbom.py

licences: ## after a change of dependencies: the licences of all crates, THIRD-PARTY-LICENSES.txt
	cargo about --version 2>/dev/null || cargo install --locked --features cli cargo-about
	cargo about generate --locked -c tools/licences/about.toml -o THIRD-PARTY-LICENSES.txt tools/licences/about.hbs

clean: ## removes what was built; keeps .venv and libtorch
	cargo clean
	rm -rf build dist out
