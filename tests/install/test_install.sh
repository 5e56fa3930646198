#!/usr/bin/env bash
# Installs the build into an empty directory and builds a C and a C++ program against it, with
# pkg-config and with CMake's find_package.
#
#     test_install.sh BUILD_DIRECTORY C_COMPILER
set -u
build=$(cd "$1" && pwd)
compiler=$2
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/library.sh
. "$here/../cli/library.sh"

expect 0 cmake --install "$build" --prefix "$work/prefix"
pkgconfig=$(dirname "$(find "$work/prefix" -name pare.pc)")
library=$(dirname "$pkgconfig")
export PKG_CONFIG_PATH=$pkgconfig LD_LIBRARY_PATH=$library

expect 0 pkg-config --cflags --libs pare
# shellcheck disable=SC2046 # the flags are words
expect 0 "$compiler" -std=c11 -Wall -Wextra -Wstrict-prototypes -Werror "$here/consumer.c" \
    -o c_consumer $(pkg-config --cflags --libs pare)
expect 0 ./c_consumer
stdout_has '^pare [0-9.]+ at [a-z0-9-]+$'
expect 0 env PARE_ISA=nonsense "$work/prefix/bin/pare" --help
expect 1 env PARE_ISA=nonsense ./c_consumer
stderr_has "unknown instruction-set level 'nonsense'"
# The command finds the masks that are installed with it.
expect 0 "$work/prefix/bin/pare" bench attention --family learned --length 256 --head-size 8 --repeat 1
stdout_has 'lm-wikitext2-small-p90$'

languages=C
cp "$here/consumer.c" consumer.c
if command -v c++ >/dev/null; then
    languages="C CXX"
    cp consumer.c consumer.cpp
fi
for language in $languages; do
    source=consumer.c
    [ "$language" = C ] || source=consumer.cpp
    expect 0 cmake -S "$here" -B "$language" -DCMAKE_PREFIX_PATH="$work/prefix" \
        -DCONSUMER_LANGUAGE="$language" -DCONSUMER_SOURCE="$work/$source"
    expect 0 cmake --build "$language"
    expect 0 "$language/consumer"
    stdout_has '^pare '
done
finish
