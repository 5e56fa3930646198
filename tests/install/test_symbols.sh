#!/usr/bin/env bash
# The shared libraries export pare_* and nothing else, and of the kernels' objects, which are built
# several times over, nothing but tables named after their level is visible to the linker: no
# function compiled for one CPU can ever stand in for another's.
#
#     test_symbols.sh BUILD_DIRECTORY
set -u
build=$(cd "$1" && pwd)
# shellcheck source=tests/cli/library.sh
. "$(dirname "$0")/../cli/library.sh"

for library in "$build"/libpare*.so; do
    name=${library##*/}
    exported=$(nm -D --defined-only "$library" | awk '{print $3}' | grep -v '^pare_')
    check "$name exports only pare_*; it also has: $exported" [ -z "$exported" ]
    check "$name exports something" \
        grep -q pare_mask_plan <(nm -D --defined-only "$library")
done

# libpare-attention needs the C library (the loader, for variables of a thread, is part of it) and
# the compiler's OpenMP, nothing else.
others=$(readelf -d "$build/libpare-attention.so" |
    sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' | grep -vE '^(lib(c|m|gomp|omp)|ld-linux.*)\.so\.')
check "libpare-attention.so needs no other library; it asks for: $others" [ -z "$others" ]
others=$(nm "$build/libpare-attention.so" | grep -E ' [a-zA-Z] (json_|inflate|dnnl|cyaml|png_)')
check "libpare-attention.so has nothing of them: $others" [ -z "$others" ]

objects=0
while IFS= read -r object; do
    objects=$((objects + 1))
    level=$(sed -E 's|.*_kernels_([a-z0-9_]+)\.dir/.*|\1|' <<<"$object")
    strays=$(nm --defined-only --extern-only "$object" |
        awk -v level="$level" '!($2 ~ /^[RD]$/ && $3 ~ "^pri_.*" level "$") {print $2, $3}')
    check "${object##*/CMakeFiles/} exports more than its table: $strays" [ -z "$strays" ]
    check "${object##*/CMakeFiles/} exports one table" \
        [ "$(nm --defined-only --extern-only "$object" | wc -l)" -eq 1 ]
done < <(find "$build" -path '*_kernels_*.dir/*' -name '*.o')
check "there are kernels to look at" [ "$objects" -gt 0 ]
finish
