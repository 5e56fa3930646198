#!/usr/bin/env bash
# Translation by the command: a language of four words is learned, so that every answer is known;
# lines from files and pipes, n-best lists, JSON, masks of three kinds, explanations, wrong use.
set -u
pare=$(realpath "$1")
script=$(realpath "$0")
# shellcheck source=tests/cli/library.sh
. "$(dirname "$script")/library.sh"

write_pairs source target
write_pairs_recipe recipe.yaml source target
expect 0 "$pare" train recipe.yaml --output model
expect 0 "$pare" eval model --recipe recipe.yaml
stdout_has '^tokenised BLEU [0-9.]+, BLEU [0-9.]+, chrF 100\.0000, perplexity 1\.0[0-9]+ '

# ---- What is in the directory ----
expect 0 "$pare" info model
stdout_has '^model +marian, [0-9,]+ parameters$'
stdout_has '^shape +1 \+ 1 layers \(encoder, decoder\), 2 heads of 16, size 32, feed-forward 32, 12 positions$'
stdout_has '^words +vocabulary [0-9]+; one embedding for source, target and output$'
for kind in encoder decoder cross; do
    stdout_has "^$kind +attention without mask: dense$"
done
expect 0 "$pare" info model --json
stdout_has '"cross": null'
stdout_has '"encoder_layers": 1,'
echo 'ba ke x' >words
expect 0 "$pare" tokenize model words
stdout_is 'ba</w> ke</w> <unk>'

# ---- One line in, one line out ----
printf 'ba ke mo\n\nri\n   \nmo mo\r\nke' >lines
answers='eins zwei drei

vier

drei drei
zwei'
expect 0 "$pare" translate model lines
stdout_is "$answers"
stderr_is_empty
expect 0 sh -c "cat lines | '$pare' translate model - --threads 1"
stdout_is "$answers"
gzip -c lines >lines.gz
expect 0 "$pare" translate model lines.gz --beam 1
stdout_is "$answers"
expect 0 sh -c "'$pare' translate model <lines.gz"
stdout_is "$answers"
expect 0 "$pare" translate model
stdout_is_empty
for ((i = 0; i < 8; i++)); do cat source; done >many
for ((i = 0; i < 8; i++)); do cat target; done >wanted
expect 0 "$pare" translate model many --length-extra 2
check "more lines than are answered together, in their order" cmp -s wanted .stdout

# A pipe is answered before it ends.
mkfifo questions translations
"$pare" translate model <questions >translations &
translator=$!
exec 3>questions 4<translations
for word in ba ke; do
    echo "$word" >&3
    IFS= read -r -t 60 answer <&4
    check "an answer to $word while the pipe is open" \
        [ "$answer" = "$([ $word = ba ] && echo eins || echo zwei)" ]
done
# A handler's frame on the stack of a kernel that a library generated destroys memory.
caught=$(sed -n 's/^SigCgt:\s*//p' "/proc/$translator/status")
check "no thread that works catches SIGINT or SIGTERM" [ $((0x$caught & 0x4002)) -eq 0 ]
exec 3>&-
wait "$translator"
check "the end of a pipe is no error" [ $? -eq 0 ]
exec 4<&-

# Characters that the vocabulary does not have are unknown to it, and no error.
expect 0 sh -c "printf 'ba \303\251 \360\237\230\200\n\377\376\n' | '$pare' translate model"
check "two lines for two" [ "$(wc -l <.stdout)" -eq 2 ]
stderr_is_empty

# ---- Several translations of a line ----
expect 0 sh -c "printf 'ba ke\n\n' | '$pare' translate model --n-best 3"
check "three lines for each" [ "$(wc -l <.stdout)" -eq 6 ]
check "the best one first" [ "$(sed -n 1p .stdout | cut -f 1)" = 'eins zwei' ]
check "scores fall" sh -c "head -n 3 .stdout | cut -f 2 | sort -c -g -r"
check "an empty line has one translation, which is empty" \
    [ "$(tail -n 3 .stdout | tr '\n\t' '|:')" = ':0.0000|:-inf|:-inf|' ]

expect 0 sh -c "printf 'ba ke\n\n\377\n' | '$pare' translate model --json --n-best 2"
stdout_has '^\{"source": "ba ke", "translations": \[\{"text": "eins zwei", "score": -[0-9.e-]+, "log_probability": -[0-9.e-]+, "tokens": \["eins</w>", "zwei</w>", "</s>"\]\}, \{"text": "[a-z ]*", "score": -[0-9.]+, .*\]\}$'
stdout_has '^\{"source": "", "translations": \[\{"text": "", "score": 0.0, "log_probability": 0.0, "tokens": \[\]\}\]\}$'
stdout_has '^\{"source": null, "translations": \['

# The score is the log-probability divided by a power of the three tokens.
scores() {
    "$pare" translate model two --json --length-penalty "$1" |
        sed 's/.*"score": \([^,]*\), "log_probability": \([^,]*\),.*/\1 \2/'
}
echo 'ba ke' >two
check "a penalty of 0" sh -c "echo '$(scores 0)' | awk '{ exit !(\$1 == \$2 && \$1 < 0) }'"
check "a penalty of 2" sh -c "echo '$(scores 2)' |
    awk '{ exit !(\$1 < 0 && (\$1 * 9 / \$2 - 1) ^ 2 < 1e-6) }'"

# "ri" is "vier" and nothing else: the search that ends with two complete translations takes the empty
# one for the second, the other goes on to a better one.
second() {
    echo ri | "$pare" translate model --beam 2 --n-best 2 --stop "$1" | sed -n '2s/.*\t//p'
}
check "a search that goes on while there is hope finds a better second translation" \
    sh -c "echo '$(second full) $(second hopeless)' | awk '{ exit !(\$1 < \$2) }'"

# At most half a token for each of four and one more: two and the end.
expect 0 sh -c "echo 'ba ke mo' | '$pare' translate model --length-factor 0.5 --length-extra 1"
stdout_has '^[a-z]+ [a-z]+$'

# ---- Lines that are too long ----
# 11 pieces and </s> fill the 12 positions.
{
    printf 'ba ke mo ba ke mo ba ke mo ba ke\n'
    printf 'ba ke mo ba ke mo ba ke mo ba ke ri ri ri ri ri\n'
    head -c 1000000 /dev/zero | tr '\0' 'b'
    printf '\nri\n'
} >long
expect 0 "$pare" translate model long
check "four lines for four" [ "$(wc -l <.stdout)" -eq 4 ]
check "the beginning is translated" [ "$(sed -n 1p .stdout)" = "$(sed -n 2p .stdout)" ]
check "what follows is not lost" [ "$(sed -n 4p .stdout)" = vier ]
stderr_is 'pare translate: 2 lines have more pieces than the model, or a mask of it, has room for; only the beginning was translated'
expect 0 "$pare" translate model long --json
check "JSON says which" [ "$(grep -c '"cut": true' .stdout)" -eq 2 ]
stderr_is_one_line

# ---- Masks, one for each kind ----
expect 0 "$pare" observe model --recipe recipe.yaml --output average.safetensors
for kind in encoder decoder cross; do
    stdout_has "^average-$kind.safetensors: 1 layers x 2 heads, "
done
expect 0 "$pare" observe model --recipe recipe.yaml --ends-first --output ends.safetensors
expect 0 "$pare" observe model --recipe recipe.yaml --ends-first --output merged.safetensors \
    --merge ends-cross.safetensors --merge ends-encoder.safetensors --merge ends-decoder.safetensors
expect 2 "$pare" observe model --recipe recipe.yaml --merge ends-encoder.safetensors
stderr_is_one_line
stderr_has 'cannot be merged'
for kind in encoder decoder cross; do
    expect 0 "$pare" prune "average-$kind.safetensors" --percent 50 --output "$kind.mask"
done
expect 0 "$pare" info cross.mask
stdout_has '^geometry .*cross attention with 1 source tokens per target token'
expect 0 "$pare" eval model --recipe recipe.yaml --mask encoder.mask --mask cross.mask --json
cp .stdout two_masks.out
expect 0 "$pare" eval model --recipe recipe.yaml --json
stdout_has '"predictions": [0-9]+,'
check "masks change the loss" [ "$(grep '"loss"' .stdout)" != "$(grep '"loss"' two_masks.out)" ]
cp -r model masked
for kind in encoder decoder cross; do
    cp "$kind.mask" "masked/mask-$kind.safetensors"
done
expect 0 "$pare" info masked
check "three masks are described" [ "$(grep -c '^mask  .*p_nom' .stdout)" -eq 3 ]
stdout_has '^decoder +attention with the mask:$'
expect 0 "$pare" info masked --json
check "in JSON too" [ "$(grep -c '"type": "mask"' .stdout)" -eq 3 ]
"$pare" translate masked lines >own.out
"$pare" translate model lines --mask decoder.mask --mask cross.mask --mask encoder.mask >given.out
check "masks of the directory are those given by hand" cmp -s own.out given.out
"$pare" translate masked lines --dense >dense.out
check "without them it is dense" [ "$(cat dense.out)" = "$answers" ]
expect 0 "$pare" train recipe.yaml --output pruned --mask encoder.mask --mask cross.mask \
    --set training.steps=3
check "masks are kept by kind" [ -e pruned/mask-encoder.safetensors ]
check "and for cross attention" [ -e pruned/mask-cross.safetensors ]
check "but not for the decoder" [ ! -e pruned/mask-decoder.safetensors ]
expect 2 "$pare" train recipe.yaml --output twice --mask cross.mask --mask cross.mask
stderr_has 'a second mask of kind cross'

for verb in "translate model lines" "eval model --recipe recipe.yaml"; do
    # shellcheck disable=SC2086
    expect 2 "$pare" $verb --mask cross.mask --mask cross.mask
    stderr_has 'a second mask of kind cross'
done

# ---- What it looks at ----
expect 0 sh -c "printf '\nba ke\n' | '$pare' translate model --explain --explain-page page.html"
stdout_has '^eins zwei$'
stdout_has '^cross attention in layer 1, mean of 2 heads:$'
for piece in eins zwei; do
    stdout_has "^  $piece</w>  [01]\.[0-9]{3} [a-z</>]+"
done
stdout_has '^  </s> +[01]\.[0-9]{3} '
stdout_has '^layer 1, heads 1 to 2$'
for piece in 'eins</w>' 'zwei</w>' '</s>    '; do # a line each, for two maps of three columns
    stdout_has "^  $piece(  (░|▒|▓|█| ){3}){2}$"
done
stderr_is_empty
check "the first line with words has a page" grep -q '<title>ba ke: eins zwei</title>' page.html
check "of two heads" [ "$(grep -c '<figure id="layer-1-head-' page.html)" -eq 2 ]
check "named by both languages" grep -q 'zwei&lt;/w&gt;' page.html
expect 0 sh -c "echo ba ke mo | '$pare' translate masked --explain --explain-page page.html"
stdout_has '·'
expect 3 "$pare" translate model /dev/null --explain-page none.html
stderr_has 'no line to explain, so none.html was not written'
expect 4 sh -c "echo ba | '$pare' translate model --explain-page no/such/page.html"
stderr_is_one_line
expect 2 "$pare" translate model lines --json --explain
stderr_is_one_line

# ---- A tokenizer for each language, and raw text ----
sed -e 's/^model: {/model: {share: target, /' -e 's/tokenised: true/separate_vocabularies: true/' \
    recipe.yaml >separate.yaml
expect 0 "$pare" train separate.yaml --output separate
check "two tokenizers" [ -e separate/source_tokenizer.json ]
check "and none for both" [ ! -e separate/tokenizer.json ]
expect 0 "$pare" translate separate lines
stdout_is "$answers"
expect 0 "$pare" info separate
stdout_has '^words +vocabulary [0-9]+ and [0-9]+; one embedding for target and output, one for source$'
printf 'ba eins' >words
expect 0 "$pare" tokenize separate words
stdout_has '^▁ba ▁ .*<unk>'
expect 0 "$pare" tokenize separate words --target
stdout_has '▁eins$'
expect 2 "$pare" tokenize model words --target
stderr_is "pare tokenize: model has one tokenizer; leave --target out; see 'pare tokenize --help'"
rm separate/target_tokenizer.json
expect 4 "$pare" translate separate lines
stderr_has 'separate/target_tokenizer.json'
stderr_is_one_line

# ---- The whole way, on published pairs ----
if [ -n "${PARE_DATA:-}" ]; then
    recipes=$(dirname "$script")/../../recipes
    expect 0 "$pare" sweep "$recipes/translation-tiny.yaml" --output tiny --set training.steps=5
    stdout_has '^attention pruning.* cross|^cross '
    expect 0 sh -c "echo 'a dog runs .' | '$pare' translate tiny/attention-pruning-cross-50"
    check "a line for a line" [ "$(wc -l <.stdout)" -eq 1 ]
fi

# ---- Verbs and options of other tasks ----
expect 2 "$pare" eval model --recipe recipe.yaml --length 5
stderr_has 'are for language models; the recipe says how translation is read'
expect 2 "$pare" eval model --text lines
stderr_is "pare eval: --text is for language models, and model is a translation model; give --recipe; see 'pare eval --help'"
expect 2 "$pare" generate model
stderr_is "pare generate: model is a translation model, not a language model; use 'pare translate'; see 'pare generate --help'"
stdout_is_empty
expect 2 "$pare" classify model lines
stderr_is_one_line
expect 2 "$pare" answer model lines --context lines
stderr_is_one_line
finish
