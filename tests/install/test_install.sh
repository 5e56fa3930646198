#!/usr/bin/env bash
# Installs the build into an empty directory and builds C and C++ programs against it, with
# pkg-config and with CMake's find_package: against libpare, when it was built, and against
# libpare-attention installed without the rest.
#
#     test_install.sh BUILD_DIRECTORY C_COMPILER
set -u
build=$(cd "$1" && pwd)
compiler=$2
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../examples
# shellcheck source=tests/cli/library.sh
. "$here/../cli/library.sh"

languages=C
if command -v c++ >/dev/null; then
    languages="C CXX"
else
    echo "SKIPPED: what is built in C++, because there is no c++ (tools/install-dependencies test)"
fi

# use_prefix DIRECTORY LIBRARY: what follows finds the libraries installed there.
use_prefix() {
    PKG_CONFIG_PATH=$(dirname "$(find "$1" -name "$2.pc")")
    LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
    export PKG_CONFIG_PATH LD_LIBRARY_PATH
}

# build_with_pkgconfig PROGRAM SOURCE LIBRARY
build_with_pkgconfig() {
    expect 0 pkg-config --cflags --libs "$3"
    # shellcheck disable=SC2046 # the flags are words
    expect 0 "$compiler" -std=c11 -Wall -Wextra -Wstrict-prototypes -Werror "$2" -o "$1" \
        $(pkg-config --cflags --libs "$3") -lm
}

# build_with_cmake DIRECTORY LANGUAGE SOURCE LIBRARY PREFIX
build_with_cmake() {
    expect 0 cmake -S "$here" -B "$1" -DCMAKE_PREFIX_PATH="$5" -DCONSUMER_LANGUAGE="$2" \
        -DCONSUMER_SOURCE="$3" -DCONSUMER_LIBRARY="$4"
    expect 0 cmake --build "$1"
}

# Without an argument the example makes a mask and saves it; that file serves as an argument, too.
run_masked_attention() {
    rm -f masked_attention.mask
    expect 0 "$1"
    stdout_has '^masked_attention.mask keeps 20.0%$'
    stdout_has '^largest difference from the reference [0-9.]+e-0[67]$'
    expect 0 "$1" masked_attention.mask
    stdout_has '^masked_attention.mask keeps 20.0%$'
    expect 4 "$1" absent.mask
    stderr_has '^absent.mask: cannot open'
}

# ---- libpare-attention alone ----

expect 0 cmake --install "$build" --prefix "$work/attention" --component pare-attention
check "the component has the headers of its rooms only" \
    [ "$(cd "$work/attention/include/pare" && echo *)" = "attention.h base.h pruning.h" ]
use_prefix "$work/attention" pare-attention
build_with_pkgconfig ./c_masked_attention "$examples/masked_attention.c" pare-attention
run_masked_attention ./c_masked_attention
for language in $languages; do
    source=$examples/masked_attention.c
    [ "$language" = C ] || source=$examples/masked_attention.cpp
    build_with_cmake "attention_$language" "$language" "$source" pare-attention "$work/attention"
    run_masked_attention "attention_$language/consumer"
done
expect 1 cmake -S "$here" -B refused -DCMAKE_PREFIX_PATH="$work/attention" \
    -DCONSUMER_LANGUAGE=C -DCONSUMER_SOURCE="$here/consumer.c" -DCONSUMER_LIBRARY=pare
stderr_has 'pare'

# ---- The whole ----

if [ -x "$build/pare" ]; then
    expect 0 cmake --install "$build" --prefix "$work/prefix"
    use_prefix "$work/prefix" pare
    build_with_pkgconfig ./c_consumer "$here/consumer.c" pare
    expect 0 ./c_consumer
    stdout_has '^pare [0-9.]+ at [a-z0-9-]+$'
    expect 0 env PARE_ISA=nonsense "$work/prefix/bin/pare" --help
    expect 1 env PARE_ISA=nonsense ./c_consumer
    stderr_has "unknown instruction-set level 'nonsense'"
    cp "$here/consumer.c" consumer.cpp
    for language in $languages; do
        source=$here/consumer.c
        [ "$language" = C ] || source=$work/consumer.cpp
        build_with_cmake "whole_$language" "$language" "$source" pare "$work/prefix"
        expect 0 "whole_$language/consumer"
        stdout_has '^pare '
    done
fi
finish
