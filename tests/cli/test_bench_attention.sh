#!/usr/bin/env bash
# pare bench attention and pare bench compare: tables, JSON rows, and refusals.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"

bench() {
    "$pare" bench attention "$@"
}
rows_with() {
    grep -c -- "$1" rows.json
}

expect 0 "$pare" bench attention --help
stdout_has '^Usage: pare bench attention'
stdout_has '--density LIST'
check "help fits 100 columns" [ "$(widest_line)" -le 100 ]

# ---- Tables and rows ----

expect 0 bench --heads 2 --head-size 16 --length 32,48 --density 10,90 --repeat 3 --threads 1 \
    --json rows.json
stdout_has 'x86-64|portable|neon'
stdout_has ', 1 thread: peak [0-9]+ GFLOP/s'
stdout_has '^32 queries x 32 keys, 2 heads of size 16$'
stdout_has '^48 queries x 48 keys, 2 heads of size 16$'
stdout_has '^  random +10% forward +[0-9.]+ +[0-9.]+ +[0-9.]+ \.\. +[0-9.]+ +[0-9.]+ +[0-9]+ +[0-9]+%$'
stdout_has '^  random +90% forward\+backward +[0-9]'
stdout_has '^  random +90% +[0-9.]+ +[0-9.]+ k?B +[0-9.]+ k?B +[0-9]+% +([0-9]+|never) +([0-9]+|never)$'
stdout_has '^  break-even density, random: forward (below |above )?[0-9]+%, forward\+backward '
check "the table fits 100 columns" [ "$(widest_line)" -le 100 ]
check "nothing is left beside the JSON file" [ ! -e rows.json.partial ]
check "one row per shape, density and pass, and dense ones" [ "$(rows_with '"ratio_to_dense"')" -eq 12 ]
check "dense rows" [ "$(rows_with '"family": "dense"')" -eq 4 ]
for field in family density length queries heads head_dim causal relative threads isa pass seconds \
    seconds_low seconds_high ratio_to_dense dense_seconds gflops peak_gflops peak_share \
    workspace_bytes precision; do
    check "every row has $field" [ "$(rows_with "\"$field\": ")" -eq 12 ]
done
for field in ratio_low ratio_high kept_cells kept_share listed_cells span_cells plan_seconds plan_bytes \
    plan_paid_after_calls rounds; do
    check "every pruned row has $field" [ "$(rows_with "\"$field\": ")" -eq 8 ]
done
check "values" [ "$(rows_with '"head_dim": 16,')" -eq 12 ]
check "rounds" [ "$(rows_with '"rounds": 3,')" -eq 8 ]
check "passes" [ "$(rows_with '"pass": "forward+backward"')" -eq 6 ]

# Densities of few stripes and blocks are exact; a band has the width it should have.
expect 0 bench --heads 2 --head-size 8 --length 64 --density 25 --family band,stripes,block --repeat 1 \
    --json rows.json
check "a quarter of every family is kept" [ "$(rows_with '"kept_share": 0.25,')" -eq 6 ]

expect 0 bench --heads 1 --head-size 8 --length 20 --density 0,100 --repeat 2 --family band --relative \
    --threads 1,2 --json rows.json
stdout_has '^10 queries x 20 keys, causal, relative positions, 1 head of size 8$'
stdout_has ' 1 thread: '
stdout_has ' 2 threads: '
check "without cells there is no work" [ "$(rows_with '"kept_cells": 0,')" -eq 4 ]
check "all admissible cells" [ "$(rows_with '"kept_cells": 155,')" -eq 4 ]

expect 0 bench --heads 1 --head-size 8 --length 32 --density 50 --repeat 1 --causal \
    --isa "$("$pare" info | sed -n 's/^kernels  //p')" --json rows.json
stdout_has '^32 queries x 32 keys, causal, 1 head of size 8$'
check "causal rows" [ "$(rows_with '"causal": true')" -eq 4 ]

expect 0 bench --heads 2 --head-size 32 --length 40 --density 10,50 --repeat 2 --precision bf16 --json rows.json
stdout_has '^  fp32 / bf16 +forward +\(quartiles\) +both +\(quartiles\)$'
stdout_has '^  random +50% +[0-9.]+ +[0-9.]+ \.\. +[0-9.]+ +[0-9.]+ +[0-9.]+ \.\. +[0-9.]+$'
check "the table fits 100 columns" [ "$(widest_line)" -le 100 ]
check "pruned rows are in bf16" [ "$(rows_with '"precision": "bf16"')" -eq 4 ]
check "dense rows are not" [ "$(rows_with '"precision": "fp32"')" -eq 2 ]
check "pruned rows tell what it brings" [ "$(rows_with '"gain_over_fp32": ')" -eq 4 ]

# Stopped, it ends at once and leaves no file.
"$pare" bench attention --length 512 --repeat 1000 --json stopped.json >/dev/null 2>stopped &
stopped=$!
while [ ! -e stopped.json.partial ] && kill -0 "$stopped" 2>/dev/null; do sleep 0.05; done
kill -TERM "$stopped"
wait "$stopped"
check "stopped with the exit code of an interruption" [ $? -eq 130 ]
check "and says so" grep -q '^pare bench attention: interrupted; no JSON file was written$' stopped
check "without a file" [ ! -e stopped.json ]
check "or half of one" [ ! -e stopped.json.partial ]

# ---- Learned masks ----

expect 0 bench --family learned --length 256 --head-size 8 --repeat 1 --json rows.json
stdout_has '^128 queries x 256 keys, causal, 16 heads of size 8$'
stdout_has 'lm-wikitext2-small-p90$'
check "learned rows name their mask" [ "$(rows_with '"mask": "lm-wikitext2-small-p90"')" -eq 2 ]
check "their density is that of the file" [ "$(rows_with '"density": 0.1[,0]')" -eq 2 ]

expect 2 bench --family learned --length 100
stderr_has '^pare bench attention: no learned mask has these --length keys; they have .*256'
expect 4 bench --masks absent
stderr_is "pare bench attention: cannot read the directory 'absent' (No such file or directory)"
mkdir empty damaged
expect 4 bench --masks empty
stderr_has "^pare bench attention: 'empty' holds no mask"
echo nothing >damaged/a.safetensors
expect 3 bench --masks damaged
stderr_is_one_line_of_bench() {
    check "one line" [ "$(wc -l <.stderr)" -eq 1 ]
    stderr_has '^pare bench (attention|compare): '
}
stderr_is_one_line_of_bench
stdout_is_empty
expect 2 bench --masks empty --length 32
stderr_has 'needs --family learned'

# A command far from any tree goes on without them, or says what it needs.
mkdir -p alone/bin
cp "$pare" alone/bin
expect 4 alone/bin/pare bench attention --family learned
stderr_has 'name their directory with --masks$'
stderr_is_one_line_of_bench

# ---- Refusals ----

for wrong in "--length 0" "--length 12,x" "--length 1.5" "--density 101" "--density ," "--heads 0" \
    "--head-size 257" "--repeat 0" "--family diagonal" "--family random," "--threads many" \
    "--threads 0" "--precision half" "--isa x86-64-v9" "--full --length 32" "--unknown" "argument"; do
    # shellcheck disable=SC2086
    expect 2 bench $wrong
    stderr_is_one_line_of_bench
    stdout_is_empty
done
# A path that cannot be written fails before anything is measured.
expect 4 bench --json absent/rows.json
stderr_is "pare bench attention: cannot write 'absent/rows.json' (No such file or directory)"
stdout_is_empty
mkdir directory.json
expect 4 bench --heads 1 --head-size 8 --length 8 --density 50 --repeat 1 --json directory.json
stderr_has "^pare bench attention: cannot write 'directory.json' "
check "nothing half-written" [ ! -e directory.json.partial ]

# ---- Comparing ----

compare() {
    "$pare" bench compare "$@"
}
row() {
    printf '{"family": "%s", "density": %s, "length": 64, "head_dim": 8, "threads": 1,' "$1" "$2"
    printf '"isa": "portable", "pass": "forward", "seconds": %s}' "$3"
}
echo "{\"rows\": [$(row random 0.1 0.004), $(row random 0.2 0.002), $(row band 0.1 1)]}" >old.json
echo "{\"rows\": [$(row random 0.2 0.002), $(row random 0.1 0.001), $(row block 0.1 1)]}" >new.json
expect 0 compare old.json new.json
stdout_is "mask       kept length  head threads  level      pass                old ms    new ms  ratio
random    10.0%     64     8       1  portable   forward              4.000     1.000   4.00
random    20.0%     64     8       1  portable   forward              2.000     2.000   1.00
geometric mean of 2 ratios: 2.000  (rows only in OLD: 1, only in NEW: 1)"
expect 0 compare rows.json rows.json
stdout_has '^geometric mean of 6 ratios: 1\.000$'

expect 2 compare old.json
stderr_is_one_line_of_bench
expect 4 compare old.json absent.json
stderr_is "pare bench compare: 'absent.json' cannot be read (No such file or directory)"
echo '{"rows": [' >cut.json
expect 3 compare cut.json new.json
stderr_has "^pare bench compare: 'cut.json' is not JSON: line [0-9]+: "
stderr_is_one_line_of_bench
for other in '[]' '{"rows": []}' '{"rows": 1}' '{}'; do
    echo "$other" >other.json
    expect 3 compare old.json other.json
    stderr_is "pare bench compare: 'other.json' has no rows; it must come from \`pare bench attention --json\`"
done
for other in 1 '{}' "$(row random 0.1 0)" "$(row random '"half"' 1)" "$(row random 0.1 -1)"; do
    echo "{\"rows\": [$(row band 0.1 1), $other]}" >other.json
    expect 3 compare old.json other.json
    stderr_has "^pare bench compare: 'other.json' is damaged: row 2 "
    stderr_is_one_line_of_bench
    stdout_is_empty
done
echo "{\"rows\": [$(row stripes 0.1 1)]}" >other.json
expect 2 compare old.json other.json
stderr_is_one_line_of_bench
stdout_is_empty
finish
