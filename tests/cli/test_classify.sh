#!/usr/bin/env bash
# pare classify over a model whose weights are written down here: uniform attention adds up "good" and
# "bad", and what is left of them decides.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/encoder.sh
. "$(dirname "$(realpath "$0")")/encoder.sh"
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"

write_classifier judge 2 -000+000 '"0": "negative", "1": "positive"'
write_classifier measure 1 +000 '"0": "LABEL_0"'

expect 0 "$pare" info judge
stdout_has '^shape +1 layers, 2 heads of 2, size 4, .* 16 positions, vocabulary 10, a classification head of 2 labels$'

# ---- One line in, one line out ----
# The layer norms give +-sqrt 2; tanh of it .8884; 1 / (1 + exp(-2 * .8884)) = .8553.
printf 'a good film\nbad films\na film\n\ngood good\tbad film\r\nGOOD' >lines
answers='positive	0.8553
negative	0.8553
negative	0.5000
negative	0.5000
positive	0.8553
positive	0.8553'
expect 0 "$pare" classify judge lines
stdout_is "$answers"
stderr_is_empty
expect 0 sh -c "'$pare' classify judge <lines"
stdout_is "$answers"
stderr_is_empty
expect 0 sh -c "cat lines | '$pare' classify judge - --threads 1"
stdout_is "$answers"
{ printf '\357\273\277' && cat lines; } >marked
expect 0 "$pare" classify judge marked
stdout_is "$answers"
gzip -c lines >lines.gz
expect 0 "$pare" classify judge lines.gz
stdout_is "$answers"
expect 0 "$pare" classify judge
stdout_is_empty

expect 0 sh -c "printf 'bad film\ngood\n' | '$pare' classify judge --json"
stdout_is '{"label": "negative", "score": 0.855298, "scores": {"negative": 0.855298, "positive": 0.144702}}
{"label": "positive", "score": 0.855298, "scores": {"negative": 0.144702, "positive": 0.855298}}'
expect 0 sh -c "printf 'bad film\ngood\na' | '$pare' classify measure"
stdout_is '-0.8884
0.8884
0.0000'
expect 0 sh -c "echo good | '$pare' classify measure --json"
stdout_is '{"score": 0.888386}'

# More lines than are answered together, in their order.
for ((i = 0; i < 300; i++)); do echo "good film"; echo "a bad bad film"; done >many
expect 0 "$pare" classify judge many
check "every line is answered" [ "$(wc -l <.stdout)" -eq 600 ]
check "in its order" [ "$(awk '{ print $1 }' .stdout | paste -d ' ' - - | sort -u)" = "positive negative" ]

# A pipe is answered before it ends.
mkfifo questions answers
"$pare" classify judge <questions >answers &
classifier=$!
exec 3>questions 4<answers
for word in good bad good; do
    echo "$word" >&3
    IFS= read -r -t 60 answer <&4
    check "an answer to $word while the pipe is open" \
        [ "$answer" = "$([ $word = good ] && echo positive || echo negative)	0.8553" ]
done
exec 3>&-
wait "$classifier"
check "the end of a pipe is no error" [ $? -eq 0 ]
exec 4<&-

# Longer than the 16 positions: cut.
expect 0 sh -c "{ printf 'good'; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do printf ' bad'; done; } |
    '$pare' classify judge"
stdout_is 'negative	0.8553'
stderr_is 'pare classify: 1 line has more pieces than the model, or its mask, has room for; only the beginning was classified'
{
    echo good
    for ((i = 0; i < 8; i++)); do printf 'good '; done
    printf '\t'
    for ((i = 0; i < 7; i++)); do printf 'good '; done
    echo
    for ((i = 0; i < 15; i++)); do printf 'bad '; done
    echo
} >long
expect 0 "$pare" classify judge long --json
stdout_is '{"label": "positive", "score": 0.855298, "scores": {"negative": 0.144702, "positive": 0.855298}}
{"label": "positive", "score": 0.855298, "scores": {"negative": 0.144702, "positive": 0.855298}, "cut": true}
{"label": "negative", "score": 0.855298, "scores": {"negative": 0.855298, "positive": 0.144702}, "cut": true}'
stderr_is 'pare classify: 2 lines have more pieces than the model, or its mask, has room for; only the beginning was classified'

# ---- Products in bf16 ----
if [ "$(uname -m)" = x86_64 ]; then
    expect 7 env PARE_ISA=x86-64-v2 "$pare" classify judge lines --precision bf16
    stderr_has '^pare classify: precision bf16 needs a CPU with AVX512-BF16 .*; use precision fp32$'
    stdout_is_empty
fi
expect 2 "$pare" classify judge lines --precision half
stderr_has "cannot be 'half'"
if "$pare" classify judge lines --precision bf16 >rounded 2>/dev/null; then
    check "the same labels" cmp -s <(cut -f 1 rounded) <(echo "$answers" | cut -f 1)
    check "sqrt 2 with 8 bits" grep -q '^positive	0.8549$' rounded
fi

# ---- What it looks at ----
# [CLS] looks at all five tokens alike.
expect 0 sh -c "echo a good film | '$pare' classify judge --explain --explain-page page.html"
stdout_is 'positive	0.8553
[CLS] in layer 1, mean of 2 heads:
  0.200 ████████                                 [CLS]
  0.200 ████████                                 a
  0.200 ████████                                 good
  0.200 ████████                                 film
  0.200 ████████                                 [SEP]
layer 1, heads 1 to 2
  [CLS]  █████  █████
  a      █████  █████
  good   █████  █████
  film   █████  █████
  [SEP]  █████  █████'
stderr_is_empty
check "a page of two heads" [ "$(grep -c '<figure id="layer-1-head-' page.html)" -eq 2 ]
check "its title" grep -q '<title>a good film: positive, 85.5%</title>' page.html
# Of a line of 100 characters: 96 tokens leave no room for names, 120 are two to a character.
positions=128
write_classifier wide 2 -000+000 '"0": "negative", "1": "positive"'
for tokens in 96 120; do
    head -c $((2 * (tokens - 2))) /dev/zero | sed 's/\x0\x0/a /g' >long
    expect 0 "$pare" classify wide long --explain
    cp .stdout maps-$tokens
done
check "a line a token, without names" [ "$(grep -cE '^  (█){96}$' maps-96)" -eq 192 ]
check "of 96 tokens" grep -q '^layer 1, heads 2 to 2$' maps-96
check "a line two tokens" [ "$(grep -cE '^  (█){60}$' maps-120)" -eq 120 ]
check "which it says" grep -q '^layer 1, heads 2 to 2, a character for 2 x 2 pieces$' maps-120
expect 0 sh -c "printf 'good\nbad\n' | '$pare' classify judge --json --explain-page page.html"
check "the page is that of the first line" grep -q '<title>good: positive' page.html
expect 3 "$pare" classify judge /dev/null --explain-page none.html
stderr_has 'no line to explain, so none.html was not written'
check "no page of nothing" [ ! -e none.html ]
expect 4 sh -c "echo good | '$pare' classify judge --explain-page no/such/page.html"
stderr_is_one_line
expect 2 "$pare" classify judge lines --json --explain
stderr_is_one_line

# ---- What is wrong ----
printf 'good\na\tb\tc\nbad\n' >tabs
expect 3 "$pare" classify judge tabs
stdout_is 'positive	0.8553'
stderr_is 'pare classify: tabs:2: more than one tab; a line is a text, or two with a tab between them'
expect 2 "$pare" classify judge -json
stderr_is "pare classify: unknown option '-json'; see 'pare classify --help'"
expect 4 "$pare" classify judge absent
stderr_is_one_line
stderr_has 'absent'
expect_failure "$pare" classify nowhere lines
stderr_is_one_line
stderr_has 'nowhere'
expect 2 "$pare" classify judge lines --dense --mask mask.safetensors
stderr_is_one_line
expect 4 "$pare" classify judge lines --mask mask.safetensors
stderr_is_one_line
stderr_has 'mask.safetensors'
cp -r judge headless
sed -i 's/BertForSequenceClassification/BertForMaskedLM/' headless/config.json
expect_failure "$pare" classify headless lines
stderr_is_one_line
stdout_is_empty
cp -r judge short
head -n 8 judge/vocab.txt >short/vocab.txt
echo '[more]' >>short/vocab.txt
printf 'x%s\n' 1 2 3 >>short/vocab.txt
expect 2 "$pare" classify short lines
stderr_is 'pare classify: the model knows 10 word pieces and the tokenizer has 12; use the tokenizer the model was trained with'
# No padding makes 10 of 8.
head -n 8 judge/vocab.txt >short/vocab.txt
expect 2 "$pare" classify short lines
stderr_is 'pare classify: the model knows 10 word pieces and the tokenizer has 8; use the tokenizer the model was trained with'
cp -r judge damaged
head -c -4 judge/model.safetensors >damaged/model.safetensors
expect 3 "$pare" classify damaged lines
stderr_is_one_line
stderr_has 'damaged/model.safetensors'
stdout_is_empty
finish
