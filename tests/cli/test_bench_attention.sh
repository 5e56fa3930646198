#!/usr/bin/env bash
# pare bench attention: its table, its JSON rows, and refusals.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"

expect 0 "$pare" bench attention --help
stdout_has '^Usage: pare bench attention'
stdout_has '--density LIST'
check "help fits 100 columns" [ "$(widest_line)" -le 100 ]

expect 0 "$pare" bench attention --heads 2 --head-size 16 --length 32,48 --density 10,90 --repeat 3 \
    --threads 1 --json rows.json
stdout_has '^32 queries x 32 keys$'
stdout_has '^48 queries x 48 keys$'
stdout_has '^ +10% +[0-9]'
stdout_has '^ +90% +[0-9]'
stdout_has 'forward: dense [0-9]+ GFLOP/s, break-even density'
check "two rows per length, density and pass" [ "$(grep -c '"ratio_to_dense"' rows.json)" -eq 16 ]
check "keys of a row" grep -q '"head_dim": 16' rows.json
check "passes" grep -q '"pass": "forward+backward"' rows.json

expect 0 "$pare" bench attention --heads 1 --head-size 8 --length 20 --density 0,100 --repeat 2 \
    --family band --relative --threads 2
stdout_has '^10 queries x 20 keys$'

for wrong in "--length 0" "--length 12,x" "--density 101" "--density ," "--heads 0" \
    "--head-size 257" "--repeat 0" "--family stripes" "--threads many" "--unknown"; do
    # shellcheck disable=SC2086
    expect 2 "$pare" bench attention $wrong
    stderr_has '^pare bench attention: '
    stdout_is_empty
done
expect 4 "$pare" bench attention --heads 1 --head-size 8 --length 8 --density 50 --repeat 1 \
    --json absent/rows.json
stderr_has "cannot write 'absent/rows.json'"
finish
