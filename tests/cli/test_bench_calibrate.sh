#!/usr/bin/env bash
# pare bench calibrate: its table, the JSON file, and refusals.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"
level=$("$pare" info | sed -n 's/^kernels  //p')
small=(--isa "$level" --length 256 --head-size 8 --repeat 3)

calibrate() {
    "$pare" bench calibrate "$@"
}
rows_with() {
    grep -c -- "$1" rows.json
}

expect 0 "$pare" bench calibrate --help
stdout_has '^Usage: pare bench calibrate'
check "help fits 100 columns" [ "$(widest_line)" -le 100 ]

expect 0 calibrate "${small[@]}" --json rows.json
stdout_has ", $level, 1 thread, 8 heads of size 8, forward \+ backward: a dense cell takes [0-9.]+ ns\$"
for cost in entry run span key; do
    stdout_has "^  $cost +[0-9.]+ +[0-9.]+\$"
done
stdout_has '^  band +100.00% +256 x 256 +spans +0% +[0-9.]+ +[0-9.]+ +[0-9.]+$'
stdout_has '^  random +[0-9.]+% +64 x 64 +lists +100% '
stdout_has '^  not fitted to$'
stdout_has '^  band +[0-9.]+% +256 x 256 +by measured costs +[0-9]+% +-?[0-9.]+$'
stdout_has '^  learned +10.00% +512 x 1024 +lists +100% '
name=$(echo "$level" | tr a-z- A-Z_)
number='[0-9]+(\.[0-9])?'
stdout_has "^    \[PARE_LEVEL_$name\] = \{\.entry = $number, \.run = $number, \.span = $number, \.key = $number\},\$"
check "the table fits 100 columns" [ "$(widest_line)" -le 100 ]
check "nothing is left beside the JSON file" [ ! -e rows.json.partial ]
for field in isa head_dim length cell_seconds built_in measured; do
    check "a level has $field" [ "$(rows_with "\"$field\": ")" -eq 1 ]
done
check "costs, built in and measured" [ "$(rows_with '"span": [0-9]')" -eq 2 ]
check "plans that costs are fitted to" [ "$(rows_with '"fitted": true')" -eq 9 ]
check "five other masks, each compiled four ways" [ "$(rows_with '"fitted": false')" -eq 20 ]
check "ratios of forced plans" [ "$(rows_with '"model_ratio": ')" -eq 19 ]
check "what is forced into lists is listed" [ "$(grep -A1 '"plan": "lists"' rows.json |
    grep -c '"listed_share": 1\.0')" -eq "$(rows_with '"plan": "lists"')" ]
check "what is forced into spans is not" [ "$(grep -A1 '"plan": "spans"' rows.json |
    grep -c '"listed_share": 0\.0')" -eq "$(rows_with '"plan": "spans"')" ]

# Stopped, it ends at once and leaves no file.
"$pare" bench calibrate --isa "$level" --length 512 --repeat 1000 --json stopped.json \
    >/dev/null 2>stopped &
stopped=$!
while [ ! -e stopped.json.partial ] && kill -0 "$stopped" 2>/dev/null; do sleep 0.05; done
kill -TERM "$stopped"
wait "$stopped"
check "stopped with the exit code of an interruption" [ $? -eq 130 ]
check "and says so" grep -q '^pare bench calibrate: interrupted$' stopped
check "without a file, or half of one" [ "$(find . -name 'stopped.json*' | wc -l)" -eq 0 ]

for wrong in "--isa x86-64-v9" "--isa $level," "--head-size 0" "--head-size 257" "--length 127" \
    "--length many" "--repeat 0" "--repeat 1001" "--unknown" "argument"; do
    # shellcheck disable=SC2086
    expect 2 calibrate $wrong
    check "one line" [ "$(wc -l <.stderr)" -eq 1 ]
    stderr_has '^pare bench calibrate: '
    stdout_is_empty
done
expect 4 calibrate "${small[@]}" --json absent/rows.json
stderr_is "pare bench calibrate: cannot write 'absent/rows.json' (No such file or directory)"
stdout_is_empty
finish
