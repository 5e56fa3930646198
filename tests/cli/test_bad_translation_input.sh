#!/usr/bin/env bash
# What users do wrong with translation: files that do not fit together, damaged tokenizers and
# weights, impossible searches. Every case ends with its exit status and one line that names the
# culprit; nothing crashes and no answer that was given is lost.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"

write_pairs source target
write_pairs_recipe recipe.yaml source target
# refused CODE CULPRIT COMMAND...
refused() {
    local code=$1 culprit=$2
    shift 2
    rm -rf run
    expect "$code" "$@"
    stderr_is_one_line
    stderr_has "$culprit"
    stdout_is_empty
    check "$*: no model was written" [ ! -e run/model.safetensors ]
    check "$*: the directory is not bound to these settings" [ ! -e run/run.json ]
}
# shellcheck disable=SC2317 # called through refused and expect
train() {
    "$pare" train recipe.yaml --output run --set training.steps=2 "$@"
}

# ---- Pairs ----
head -n 80 target >shorter
refused 3 'source has 84 lines and shorter has 80' train --set data.train.target=shorter
refused 3 'shorter has 80 lines and target has 84' train --set data.train.source=shorter
refused 3 'source has 84 lines and shorter has 80' train --set data.valid.target=shorter
: >empty
refused 3 'source has 84 lines and empty has 0' train --set data.train.target=empty
refused 3 'empty' train --set data.train.source=empty --set data.train.target=empty
refused 3 'empty: no pair' train --set data.valid.source=empty --set data.valid.target=empty
refused 4 'absent' train --set data.train.target=absent
gzip -c target | head -c 100 >cut.gz
refused 3 'cut.gz' train --set data.train.target=cut.gz
refused 2 'length of 1' train --set training.length=1
sed 's/train.source: source/train: both.tsv/; /train.target/d' recipe.yaml >table.yaml
paste source target >both.tsv
expect 0 "$pare" train table.yaml --output run --set training.steps=2
rm -rf run
sed '7s/\t/ /' both.tsv >broken.tsv
refused 3 'broken.tsv:7: a line must be a source, one tab' "$pare" train table.yaml --output run \
    --set data.train=broken.tsv
# What evaluation could not do is refused before training.
refused 2 'evaluation.beam is 1000, but the vocabulary has [0-9]+ pieces' \
    train --set evaluation.beam=1000
refused 2 'raise evaluation.length_factor' train --set evaluation.length_factor=0 \
    --set evaluation.length_extra=0
# Empty sides, carriage returns, a byte-order mark and a line of a million characters are pairs like
# others, or are left out.
{
    printf '\357\273\277'
    sed '3s/.*//' source | sed 's/$/\r/'
    head -c 1000000 /dev/zero | tr '\0' 'b'
    echo
} >strange
{ cat target && echo eins; } >longer
expect 0 train --set data.train.source=strange --set data.train.target=longer
expect 0 "$pare" eval run --recipe recipe.yaml --set data.test.source=strange \
    --set data.test.target=longer
rm -rf run
sed '5s/ba/\xff\xfe/' source >latin
refused 3 'latin:5: byte [0-9]+ of the line is not UTF-8; convert the text' \
    train --set data.train.source=latin
refused 3 'latin:5: byte [0-9]+ of the line is not UTF-8' train --set data.valid.target=latin

# ---- Merges ----
printf '#version: 0.2\nb a</w>\nk\n' >merges
refused 3 'merges: line 3' train --set data.merges=merges
printf '#version: 0.2\nb a</w>\nb a</w>\n' >merges
refused 3 'merges: line 3' train --set data.merges=merges
printf '#version: 0.2\nb a</w>\n' >merges
expect 0 train --set data.merges=merges
rm -rf run

# ---- A model, and what can be wrong with it ----
expect 0 "$pare" train recipe.yaml --output model --set training.steps=2
printf 'ba ke\nmo\n' >lines
# damaged NAME FILE: a copy of the model whose FILE is what comes on standard input
damaged() {
    rm -rf "$1"
    cp -r model "$1"
    cat >"$1/$2"
}
refused 4 'absent' "$pare" translate absent lines
refused 4 'absent' "$pare" translate model absent
refused 4 'empty/config.json|empty' "$pare" translate empty lines
head -c 3000 model/model.safetensors | damaged bad model.safetensors
refused 3 'bad/model.safetensors' "$pare" translate bad lines
sed 's/"d_model": 32/"d_model": 64/' model/config.json | damaged bad config.json
refused 3 'bad/model.safetensors' "$pare" translate bad lines
sed 's/"encoder_layers": 1/"encoder_layers": 2/' model/config.json | damaged bad config.json
refused 3 'bad/model.safetensors.*layers.1' "$pare" translate bad lines
sed 's/"vocab_size": [0-9]*/"vocab_size": 30/' model/config.json | damaged bad config.json
refused 3 'bad/' "$pare" translate bad lines
rm -rf bad && cp -r model bad && rm bad/tokenizer.json
refused 4 'bad/tokenizer.json' "$pare" translate bad lines
touch bad/source.spm
refused 7 "bad: its tokenizer is SentencePiece's" "$pare" translate bad lines
echo '{"version": "1.0"' | damaged bad tokenizer.json
refused 3 'bad/tokenizer.json' "$pare" translate bad lines
write_text text.txt 300
expect 0 "$pare" tokenize larger text.txt --train --kind bpe
damaged bad tokenizer.json <larger/tokenizer.json
refused 2 'the model knows [0-9]+ source pieces and the tokenizer has [0-9]+; use the tokenizer' \
    "$pare" translate bad lines
write_recipe language.yaml text.txt
expect 0 "$pare" train language.yaml --output language --set training.steps=2
refused 2 'language is a language model, not a translation model' "$pare" translate language lines

# ---- Searches ----
refused 2 'a beam of 0' "$pare" translate model lines --beam 0
refused 2 'a beam of 1000 hypotheses cannot be searched; give 1 to [0-9]+' \
    "$pare" translate model lines --beam 1000
refused 2 '6 hypotheses of each sentence are wanted, of a beam of 5' \
    "$pare" translate model lines --n-best 6
refused 2 '0 hypotheses' "$pare" translate model lines --n-best 0
refused 2 'have no room for a word; raise one of the two limits' \
    "$pare" translate model lines --length-factor 0 --length-extra 0
refused 2 'have no room for a word' "$pare" translate model lines --length-factor 0.4 \
    --length-extra 0
refused 2 'not negative' "$pare" translate model lines --length-factor -1
refused 2 'length-penalty needs a number' "$pare" translate model lines --length-penalty nan
refused 2 'give either --mask or --dense' "$pare" translate model lines --dense --mask a
refused 2 "cannot be 'half'" "$pare" translate model lines --precision half
vocabulary=$("$pare" info model | sed -n 's/^words *vocabulary \([0-9]*\);.*/\1/p')
expect 0 "$pare" translate model lines --beam "$vocabulary" --n-best "$vocabulary"
check "as many lines as hypotheses" [ "$(wc -l <.stdout)" -eq $((2 * vocabulary)) ]

# ---- Masks of another kind of model, or none ----
expect 0 "$pare" observe language --recipe language.yaml --output language.average
expect 0 "$pare" prune language.average --percent 50 --output language.mask
expect_failure "$pare" translate model lines --mask language.mask
stderr_is_one_line
refused 3 'merges' "$pare" translate model lines --mask merges
refused 4 'absent.mask' "$pare" translate model lines --mask absent.mask

# ---- What would only be found out in the middle of the work ----
refused 2 'the references are not kept' "$pare" eval model --recipe recipe.yaml --split train
sed '/maximum_vocabulary/d; s/^model:.*/model: {checkpoint: model}/; s/length: 8/length: 300/' recipe.yaml >tuned.yaml
for ((i = 0; i < 20; i++)); do printf 'ba '; done >long
echo >>long
refused 2 'long: a source of 21 pieces, but the model has 12 positions; set training.length' \
    "$pare" train tuned.yaml --output tuned --set data.valid.source=long --set data.valid.target=long
check "before the first step" [ ! -e tuned/log.jsonl ]
expect 0 "$pare" observe model --recipe recipe.yaml --output average --set training.length=3
expect 0 "$pare" prune average-encoder --percent 50 --output short.mask
refused 2 'the mask is for sequences of at most 3 tokens but one has 4' train --mask short.mask
check "before the first step" [ ! -e run/log.jsonl ]

# ---- What is left out or cut is told ----
expect 0 "$pare" eval model --recipe recipe.yaml --set training.length=3
stderr_has '^64 of 84 training pairs are left out: .* training.length 3 .*; 256 sentences of '
expect 0 "$pare" train recipe.yaml --output fresh --set training.length=3 --set training.steps=1
stderr_has 'read data: 100%, 64 of 84 training pairs are left out'

# ---- A file that breaks off: what was read is answered ----
for ((i = 0; i < 400; i++)); do echo "ba ke mo"; done | gzip -c >whole.gz
expect 0 "$pare" translate model whole.gz
head -c -8 whole.gz >cut.gz
expect 3 "$pare" translate model cut.gz
stderr_is_one_line
stderr_has 'cut.gz'
if [ -w /dev/full ]; then
    expect 4 sh -c "'$pare' translate model lines >/dev/full"
    stderr_has 'cannot write to standard output'
fi
finish
