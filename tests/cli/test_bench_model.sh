#!/usr/bin/env bash
# pare bench model: its table, shapes of a recipe, and refusals.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"
write_text text.txt 200
write_recipe recipe.yaml "$work/text.txt"

expect 0 "$pare" bench model --help
stdout_has '^Usage: pare bench model'
check "help fits 100 columns" [ "$(widest_line)" -le 100 ]

small="--size 16 --feed-forward 32 --vocabulary 50 --lanes 2 --length 8 --memory 8 --steps 1"
# shellcheck disable=SC2086
expect 0 "$pare" bench model $small --percent 50 --cutoffs 10,20
stdout_has '^model +L4 H4 d16, [0-9,]+ parameters, 50% pruned$'
stdout_has '^  the rest +[0-9.]+ s +[0-9.]+%$'
# shellcheck disable=SC2086
expect 0 "$pare" bench model $small --json
stdout_has '"tokens_per_second"'

expect 0 "$pare" bench model --recipe recipe.yaml --steps 1 --json
read_data=$(grep -o '"parameters": [0-9]*' .stdout)
expect 0 "$pare" bench model --recipe recipe.yaml --steps 1
stdout_has '^model +L2 H2 d16, '
stdout_has '^batch +4 lanes of 12 tokens, memory 12$'
expect 0 "$pare" bench model --recipe recipe.yaml --set model.layers=1 --lanes 3 --heads 4 --steps 1
stdout_has '^model +L1 H4 d16, '
stdout_has '^batch +3 lanes of 12 tokens, memory 12$'
unset PARE_DATA
# shellcheck disable=SC2016
sed -i 's|train: .*|train: ${PARE_DATA}/absent.txt|' recipe.yaml
words=$(tr ' ' '\n' <text.txt | sort -u | grep -c .)
expect 0 "$pare" bench model --recipe recipe.yaml --vocabulary "$((words + 2))" --steps 1 --json
check "the vocabulary is that of the data" grep -q "$read_data" .stdout
expect_failure "$pare" bench model --recipe recipe.yaml --steps 1
stderr_has '^pare bench model: recipe.yaml:3: data.train uses'

if [ "$(uname -m)" = x86_64 ]; then
    expect 7 env PARE_ISA=x86-64-v2 "$pare" bench model --precision bf16
    stderr_has '^pare bench model: precision bf16 needs a CPU with AVX512-BF16 .*; use precision fp32$'
    expect 7 env PARE_ISA=x86-64-v2 "$pare" sweep recipe.yaml --set data.train=text.txt \
        --set training.precision=bf16 --output refused
    check "a refused precision leaves no run" [ ! -e refused/dense/run.json ]
fi

for wrong in "--set model.layers=1" "--cutoffs 1,2,x" "--layers many" "--unknown" "--percent 101" \
    "--precision half"; do
    # shellcheck disable=SC2086
    expect 2 "$pare" bench model $wrong
    stderr_has '^pare bench model: '
    stdout_is_empty
done
finish
