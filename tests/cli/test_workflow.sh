#!/usr/bin/env bash
# The verbs one after another on a small text, as a user would: train, observe, prune, train under
# the mask, evaluate, generate, and the sweep that does all of it.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"
write_text text.txt 700
write_recipe recipe.yaml "$work/text.txt"

expect 0 "$pare" train recipe.yaml --output dense
stdout_has '^dense: perplexity valid [0-9.]+, test [0-9.]+ after 24 steps'
for file in config.json model.safetensors vocab.json log.jsonl trainer.json; do
    check "train writes $file" [ -s "dense/$file" ]
done
check "the result says how it was made" \
    grep -q '"command": "pare train recipe.yaml --output dense"' dense/result.json
cp dense/model.safetensors first.safetensors
expect 0 "$pare" train recipe.yaml --output dense
check "a finished run is left alone" cmp -s dense/model.safetensors first.safetensors
expect 0 "$pare" info dense
stdout_has '2 layers, 2 heads of 8'
stdout_has '^mask +none'
expect 0 "$pare" info dense --json
stdout_has '"head_size": 8,'

expect 0 "$pare" observe dense --recipe recipe.yaml --output average.safetensors
stdout_has '^average.safetensors: 2 layers x 2 heads, 12 queries x 24 keys'
expect 0 "$pare" info average.safetensors --json
stdout_has '"type": "average"'

expect 0 "$pare" prune average.safetensors --percent 80 --output mask.safetensors
stdout_has '^mask.safetensors: p_nom [0-9.]+  p_adm [0-9.]+  p_eff [0-9.]+; keeps [0-9.]+%'
stdout_has '^layer 2 +[0-9.]+ +[0-9.]+ +[0-9.]+$' # two heads, and the layer's attention
expect 0 "$pare" prune average.safetensors --percent 80 --output again.safetensors
check "the same average gives the same mask" cmp -s mask.safetensors again.safetensors
expect 0 "$pare" prune average.safetensors --percent 0 --output all.safetensors --json
stdout_has '"p_adm": 0\.0'
expect 0 "$pare" prune average.safetensors --percent 80 --empty-row zero --output exact.safetensors
stdout_has 'p_adm (79\.9|80\.0)[0-9]  '
expect 0 "$pare" prune average.safetensors --percent 100 --output diagonal.safetensors --json
stdout_has '"rescued_rows": 48' # 2 layers, 2 heads, 12 rows keep one cell each
expect 0 "$pare" prune average.safetensors --percent 100 --empty-row zero --output none.safetensors
stdout_has 'p_adm 100.00 '
expect 0 "$pare" info mask.safetensors
stdout_has '^mask +attention-pruning, p_nom'

expect 0 "$pare" train recipe.yaml --mask mask.safetensors --output pruned
expect 0 "$pare" info pruned
stdout_has '^mask +attention-pruning, p_nom'

expect 0 "$pare" eval dense --recipe recipe.yaml
stdout_has '^perplexity [0-9.]+ '
dense=$(cut -d' ' -f2 .stdout)
expect 0 "$pare" eval dense --recipe recipe.yaml --batch 3
stdout_has "^perplexity ${dense%??}"
expect 0 "$pare" eval dense --recipe recipe.yaml --mask all.safetensors
stdout_has "^perplexity ${dense%??}"
expect 0 "$pare" eval dense --recipe recipe.yaml --mask none.safetensors
stdout_has '^perplexity [0-9.]+ '
expect 0 "$pare" eval pruned --text text.txt --json
stdout_has '"metric": "perplexity"'
stdout_has '^  "tokens": [0-9]+,$'

echo 'the cat' >sentence.txt # too short for the lanes of training
expect 0 "$pare" eval dense --text sentence.txt
stdout_has 'over 2 predictions'
for verb in "eval dense --text text.txt" "generate dense"; do
    # shellcheck disable=SC2086 # several words
    expect 2 "$pare" $verb --mask mask.safetensors --dense
    stderr_has 'either --mask or --dense'
done

expect 0 "$pare" generate pruned --prompt "the cat" --tokens 12 --seed 7
cp .stdout first.txt
expect 0 "$pare" generate pruned --prompt "the cat" --tokens 12 --seed 7
check "the same seed gives the same text" cmp -s .stdout first.txt
expect 0 "$pare" generate dense --tokens 3 --temperature 0 --json
stdout_has '"pieces"'

expect 0 "$pare" sweep recipe.yaml --output sweep
stdout_has 'dense'
stdout_has 'attention pruning|attention-pruning'
stdout_has '^Report: sweep/report.html$'
check "results.json has 4 rows" [ "$(grep -c '"method"' sweep/results.json)" -eq 4 ]
check "the report is one file that asks nothing of the network" \
    sh -c "! grep -Eq '(src|href)=\"?https?:' sweep/report.html"
cp sweep/results.json first.json
expect 0 "$pare" sweep recipe.yaml --output sweep
stderr_has 'done before'
check "a finished sweep is left alone" cmp -s sweep/results.json first.json
expect 0 "$pare" sweep recipe.yaml --output sweep --json
stdout_has '"rows"'
expect 0 "$pare" report sweep --png pictures
check "pictures are written" [ -s pictures/quality.png ]
expect 0 "$pare" sweep recipe.yaml --dry-run
stdout_has '^4 runs of 24 steps'

# Another recipe in the same directory is refused, and nothing is overwritten.
cp sweep/results.json first.json
expect 2 "$pare" sweep recipe.yaml --output sweep --set model.size=20
stderr_is_one_line
check "the refused sweep left the results" cmp -s sweep/results.json first.json
finish
