#!/usr/bin/env bash
# pare prune and pare info: averages of encoders, relative geometry, blocks.
set -u
pare=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/cli/library.sh
. "$here/library.sh"
ends_first=$here/../fuzz/corpus/fuzz_average/valid_ends_first # 1 layer, 2 heads, up to 5 tokens
cross=$here/../fuzz/corpus/fuzz_average/valid_cross # 1 layer, 2 heads, up to 4 and 6 tokens
causal=$here/../fuzz/corpus/fuzz_average/valid_0
rectangle=$here/../golden/pruning_average.npy # 2 layers, 3 heads, 6 queries, 9 keys

expect 0 "$pare" info "$ends_first"
stdout_has '^average +over 4 sequences$'
stdout_has '^geometry +cell, 1 layers x 2 heads, 5 queries x 5 keys, first and last token first$'
stdout_has '^observed +5 of 5 query positions$'
expect 0 "$pare" info "$ends_first" --json
stdout_has '"ends_first": true'
stdout_has '"observed_queries": 5'

expect 0 "$pare" prune "$ends_first" --percent 50 --geometry relative --output relative.safetensors
stdout_has '^relative.safetensors: p_nom [0-9.]+  p_adm [0-9.]+  p_eff [0-9.]+; keeps [0-9.]+%'
stdout_has '^layer 1 +[0-9.]+ +[0-9.]+ +[0-9.]+$' # two heads, and the layer's attention
stdout_has 'the first token, the last, then the others in order'
expect 0 "$pare" info relative.safetensors
stdout_has '^geometry +relative, .* first and last token first$'
stdout_has '^pruned +by the valid average, scope layer, empty rows keep-one$'
stdout_has '^layer 1 +[0-9.]+ +[0-9.]+$'

expect 0 "$pare" prune "$ends_first" --percent 50 --block 2 --scope row --average mass \
    --output block.safetensors
expect 0 "$pare" info block.safetensors
stdout_has '^geometry +cell, '
stdout_has '^pruned +by the mass average, scope row, empty rows keep-one, in blocks of 2 x 2$'
expect 0 "$pare" info block.safetensors --json
stdout_has '"block": 2'
stdout_has '"kept_shares": \['
expect 0 "$pare" prune "$ends_first" --percent 50 --block 1 --output one.safetensors
expect 0 "$pare" prune "$ends_first" --percent 50 --output cells.safetensors
check "blocks of one cell are cells" cmp -s one.safetensors cells.safetensors
expect 0 "$pare" prune "$ends_first" --percent 50 --json --output cells.safetensors
stdout_has '"kept_mass_of_layers": \['

expect 0 "$pare" prune "$rectangle" --not-causal --percent 60 --block 4 --output rectangle.safetensors
stdout_has '^layer 2 '
stdout_has '^\(rows: queries, columns: keys\)$'

expect 0 "$pare" info "$cross"
stdout_has '4 queries x 6 keys, cross attention with 1.429 source tokens per target token, first and last token first$'
expect 0 "$pare" info "$cross" --json
stdout_has '"ratio": 1.428'
for geometry in cell relative; do
    expect 0 "$pare" prune "$cross" --percent 50 --geometry "$geometry" --output cross.safetensors
    stdout_has '^\(rows: target tokens, columns: source tokens; '
    expect 0 "$pare" info cross.safetensors
    stdout_has "^geometry +$geometry, .* cross attention with 1.429 source tokens per target token"
done
expect 2 "$pare" prune "$cross" --percent 50 --geometry distance --output refused.safetensors
stderr_has 'needs causal attention'

# The share of the work instead of that of the cells.
expect 0 "$pare" prune "$cross" --effective 50 --output cross.safetensors --json
stdout_has '"p_eff": (4[6-9]|5[0-4])\.'
for options in '' '--percent 50 --effective 50' '--effective 101'; do
    # shellcheck disable=SC2086 # several words
    expect 2 "$pare" prune "$cross" $options --output refused.safetensors
    stderr_has 'give either --percent or --effective'
done

expect 2 "$pare" prune "$causal" --percent 50 --geometry relative --output refused.safetensors
stderr_is_one_line
stderr_has 'its distance; use distance geometry'
expect 2 "$pare" prune "$ends_first" --percent 50 --geometry distance --output refused.safetensors
stderr_has 'needs causal attention'
expect 2 "$pare" prune "$ends_first" --percent 50 --geometry relative --block 16 \
    --output refused.safetensors
stderr_has 'blocks are for cell geometry'
expect 2 "$pare" prune "$ends_first" --percent 50 --block 24 --output refused.safetensors
stderr_has 'blocks of 24: give a power of two from 2 to 128'
for head in 0:1 1:3 2:1 1 1:1x; do
    expect 2 "$pare" prune "$ends_first" --percent 50 --show "$head" --output refused.safetensors
    stderr_is_one_line
    stderr_has '--show needs LAYER:HEAD, from 1:1 to 1:2'
    stdout_is_empty
done
check "nothing was written" [ ! -e refused.safetensors ]

# A directory stands for the average in it, where there is one.
mkdir run
expect 2 "$pare" prune run --percent 50
stderr_is_one_line
stderr_has 'run is a directory without average.safetensors'
for kind in encoder decoder cross; do
    cp "$cross" run/average-$kind.safetensors
done
expect 2 "$pare" prune run --percent 50
stderr_is_one_line
stderr_has 'average-cross.safetensors, average-decoder.safetensors, average-encoder.safetensors;'
expect 0 "$pare" prune run/average-cross.safetensors --percent 50
cp "$causal" run/average.safetensors
expect 0 "$pare" prune run --percent 50
finish
