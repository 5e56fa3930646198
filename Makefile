# A short front to CMake. `make demo` and `make test` do everything on a fresh Debian or Ubuntu
# machine: install what is missing, build, run. OPTIONS goes to CMake: OPTIONS=-DPARE_X=ON.
# PEERS_OPTIONS goes to bench/peers/run; PARE_PEERS_VENV is a virtual environment to use.
PREFIX ?= /usr/local
OPTIONS ?=
PEERS_OPTIONS ?=
JOBS := $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)

.PHONY: help build test test-arm demo bench bench-peers install sanitize fuzz coverage format check-format clean

help:
	@echo 'make demo      build, then train, prune and compare on real text; a few minutes'
	@echo 'make test      build, then run every test'
	@echo 'make build     build/pare, the command, and build/libpare.so'
	@echo 'make bench     attention kernels: dense against masked'
	@echo 'make bench-peers  attention beside PyTorch and others (downloads them); PEERS_OPTIONS'
	@echo 'make install   into PREFIX (/usr/local); honours DESTDIR'
	@echo 'make test-arm  libpare-attention for 64-bit ARM: cross build, tests under QEMU'
	@echo 'make sanitize  the tests under the address and undefined-behaviour sanitizers'
	@echo 'make fuzz      every file reader against libFuzzer, SECONDS_EACH=60 seconds each'
	@echo 'make coverage  the tests with line coverage'
	@echo 'make format    lay out the sources with clang-format (make check-format only looks)'
	@echo 'make clean     remove build/ and build-*/'

build:
	@tools/build $(OPTIONS)

test: build
	@tools/install-dependencies test
	ctest --preset release -j $(JOBS)

test-arm:
	@tools/test-arm $(OPTIONS)

demo:
	@tools/demo

bench: build
	build/pare bench attention

bench-peers: build
	@bench/peers/run $(PEERS_OPTIONS)

install: build
	DESTDIR='$(DESTDIR)' cmake --install build --prefix '$(PREFIX)'

sanitize:
	@tools/install-dependencies build
	cmake --preset dev $(OPTIONS)
	cmake --build --preset dev
	ctest --preset dev -j $(JOBS)

fuzz:
	@tools/fuzz $(SECONDS_EACH)

coverage:
	@tools/install-dependencies build coverage
	cmake --preset coverage $(OPTIONS)
	cmake --build --preset coverage
	ctest --preset coverage -j $(JOBS)
	gcovr --root . --exclude tests/ build-coverage

format:
	@tools/check-format --fix

check-format:
	@tools/check-format

clean:
	rm -rf build build-*
