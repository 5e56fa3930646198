#!/usr/bin/env bash
# pare answer over a model whose weights are written down in encoder.sh: whatever it is asked, the
# answer is the first "good" of the text.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/encoder.sh
. "$(dirname "$(realpath "$0")")/encoder.sh"
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"

write_answerer oracle
write_classifier judge 2 -000+000 '"0": "negative", "1": "positive"'

# ---- One line in, one line out ----
printf 'film?\ta film, Good film\na good?\tbad GOOD bad\r\n\tgood\n' >lines
answers='Good
GOOD
good'
expect 0 "$pare" answer oracle lines
stdout_is "$answers"
stderr_is_empty
expect 0 sh -c "'$pare' answer oracle <lines"
stdout_is "$answers"
expect 0 sh -c "cat lines | '$pare' answer oracle - --threads 1"
stdout_is "$answers"
gzip -c lines >lines.gz
expect 0 "$pare" answer oracle lines.gz
stdout_is "$answers"
expect 0 "$pare" answer oracle
stdout_is_empty
stderr_is_empty

# ---- A text for all questions ----
printf 'a \303\251 bad film\na GoOd film\n' >text
expect 0 sh -c "printf 'film?\na?\n' | '$pare' answer oracle --context text"
stdout_is 'GoOd
GoOd'
gzip -c text >text.gz
expect 0 sh -c "echo film | '$pare' answer oracle --context text.gz"
stdout_is GoOd
echo film >questions
expect 0 sh -c "'$pare' answer oracle questions --context - <text"
stdout_is GoOd

# Longer than the 16 positions: the answer is in the last window. Characters, not bytes, are counted.
{ for ((i = 0; i < 30; i++)); do printf '\303\251 film '; done; printf 'good'; } >long
expect 0 "$pare" answer oracle questions --context long --json
stdout_has '^\{"text": "good", "score": [0-9.]+, "begin": 210, "end": 214\}$'
check "one line" [ "$(wc -l <.stdout)" -eq 1 ]
stderr_is_empty

# Of questions the first 8 pieces are read.
printf 'a a a a a a a a\tgood\na a a a a a a a a\tgood\n' >asking
expect 0 "$pare" answer oracle asking --json
stdout_has '"end": 4\}$'
stdout_has '"end": 4, "cut": true\}$'
stderr_is 'pare answer: 1 line has a question of more than 64 pieces, or more than half of what the model has room for; only its beginning was read'

# ---- Several answers ----
expect 0 "$pare" answer oracle questions --context text --best 3
check "one line" [ "$(wc -l <.stdout)" -eq 1 ]
check "three answers" [ "$(awk -F '\t' '{ print NF }' .stdout)" -eq 3 ]
check "the best first" [ "$(cut -f 1 .stdout)" = GoOd ]
expect 0 "$pare" answer oracle questions --context text --best 2 --json
stdout_has '^\{"text": "GoOd", "score": [0-9.]+, "begin": 15, "end": 19, "answers": \[\{"text": "GoOd", .*\}, \{"text": "[^"]*", .*\}\]\}$'

# ---- Products in bf16 ----
if [ "$(uname -m)" = x86_64 ]; then
    expect 7 env PARE_ISA=x86-64-v2 "$pare" answer oracle lines --precision bf16
    stderr_has '^pare answer: precision bf16 needs a CPU with AVX512-BF16 .*; use precision fp32$'
    stdout_is_empty
fi
if "$pare" answer oracle lines --precision bf16 --json >rounded 2>/dev/null; then
    check "the same answers" [ "$(grep -ci '"text": "good", "score": 2.82812' rounded)" -eq 3 ]
fi

# A pipe is answered before it ends.
mkfifo asked told
"$pare" answer oracle --context text <asked >told &
answerer=$!
exec 3>asked 4<told
for question in film bad; do
    echo "$question" >&3
    IFS= read -r -t 60 answer <&4
    check "an answer while the pipe is open" [ "$answer" = GoOd ]
done
exec 3>&-
wait "$answerer"
check "the end of a pipe is no error" [ $? -eq 0 ]
exec 4<&-

# ---- Wrong use ----
expect 2 "$pare" answer oracle lines --mask m --dense
stderr_is "pare answer: give either --mask or --dense; see 'pare answer --help'"
expect 2 "$pare" answer oracle lines --best 0
stderr_is "pare answer: --best must be 1 to 20; see 'pare answer --help'"
expect 2 "$pare" answer oracle lines --best 21
stderr_is_one_line
expect 2 "$pare" answer oracle --context -
stderr_is_one_line
expect 2 "$pare" answer judge lines
stderr_has "judge is a classifier, not a model that answers questions; use 'pare classify'"
stderr_is_one_line
expect 4 "$pare" answer oracle absent
stderr_is_one_line
expect 4 "$pare" answer oracle lines --context absent
stderr_is_one_line
: >empty
expect 3 "$pare" answer oracle lines --context empty
stderr_is 'pare answer: empty: is empty, so nothing can be found'
printf 'a\0b' >binary
expect 3 "$pare" answer oracle lines --context binary
stderr_is 'pare answer: binary: has a zero byte, so it is no text'

# What came before a wrong line is answered.
printf 'film\ta good film\nfilm\n' >wrong
expect 3 "$pare" answer oracle wrong
stdout_is good
stderr_is "pare answer: wrong:2: no tab; a line is a question, a tab and a text, or give the text with --context"
printf 'film\t \n' >wrong
expect 3 "$pare" answer oracle wrong
stderr_is 'pare answer: wrong:1: the context is empty, so it answers nothing'
printf 'fi\0lm\tgood\n' >wrong
expect 3 "$pare" answer oracle wrong
stderr_is 'pare answer: wrong:1: has a zero byte, so it is no text'
printf 'film\tgood \377 good\n' >wrong
expect 0 "$pare" answer oracle wrong --json
stdout_has '"text": "good"'

finish
