#!/usr/bin/env bash
# Verbs that answer line by line, in a pipe and at a terminal: what was answered before something
# goes wrong is there, the exit status tells, and nothing waits for more than it needs.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/encoder.sh
. "$(dirname "$(realpath "$0")")/encoder.sh"
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"

write_classifier judge 2 -000+000 '"0": "negative", "1": "positive"'
write_answerer oracle
# Of each verb: what it runs on, a line, its answer, and a line it refuses (-: none).
verbs='classify judge|good|positive	0.8553|a	b	c
answer oracle|which film ?	a good film|good|no tab
tokenize judge|bad films|bad film ##s|-'

# wait_until COMMAND...: at most a minute.
# shellcheck disable=SC2317 # called through check
wait_until() {
    local tries=600
    until "$@" || [ $((tries -= 1)) -eq 0 ]; do sleep 0.1; done
    "$@"
}
# shellcheck disable=SC2317 # called through wait_until
is_gone() {
    ! kill -0 "$1" 2>/dev/null
}

mkfifo questions
while IFS='|' read -r verb line answer wrong; do
    read -r -a words <<<"$verb"
    name=${words[0]}

    # ---- A line that is wrong, in a pipe that stays open ----
    if [ "$wrong" != - ]; then
        "$pare" "${words[@]}" <questions >answers 2>errors &
        process=$!
        exec 3>questions
        printf '%s\n%s\n%s\n%s\n' "$line" "$line" "$wrong" "$line" >&3
        check "$name ends at the line" wait_until is_gone $process
        wait $process
        check "$name: exit status" [ $? -eq 3 ]
        exec 3>&-
        check "$name: the lines before it are answered" cmp -s answers <(printf '%s\n%s\n' "$answer" "$answer")
        check "$name: the line is named" grep -q "^pare $name: standard input:3: " errors
        check "$name: in one line" [ "$(wc -l <errors)" -eq 1 ]
    fi

    # ---- Ctrl-C while it waits ----
    "$pare" "${words[@]}" <questions >answers 2>errors &
    process=$!
    exec 3>questions
    printf '%s\n' "$line" >&3
    check "$name answers a line" wait_until grep -q . answers
    kill -INT $process
    check "$name does not wait for a line after Ctrl-C" wait_until is_gone $process
    wait $process
    check "$name: exit status of an interruption" [ $? -eq 130 ]
    exec 3>&-
    check "$name: what was answered stays" [ "$(cat answers)" = "$answer" ]

    # ---- Nobody reads, or nothing can be written ----
    # More answers than a pipe holds.
    yes "$line" | head -n 20000 >many
    { (
        trap '' PIPE
        "$pare" "${words[@]}" many 2>errors
        echo $? >status
    ) } | head -n 1 >first
    check "$name: the first answer" [ "$(cat first)" = "$answer" ]
    check "$name: a closed pipe is an error" [ "$(cat status)" -eq 4 ]
    check "$name: with a reason" grep -q '^pare: cannot write to standard output: Broken pipe$' errors
    if [ -w /dev/full ]; then
        "$pare" "${words[@]}" many >/dev/full 2>errors
        check "$name: a full disk is an error" [ $? -eq 4 ]
        check "$name: with a reason, in one line" [ "$(wc -l <errors)" -eq 1 ]
    fi
done <<<"$verbs"

# ---- At a terminal ----
if command -v script >/dev/null; then
    while IFS='|' read -r verb line answer wrong prompt; do
        script -qec "'$pare' $verb" /dev/null <questions >terminal &
        process=$!
        exec 3>questions
        check "a prompt before the first line: $verb" wait_until grep -q "^$prompt" terminal
        printf '%s\n%s\n' "$wrong" "$line" >&3
        check "who mistypes may type again: $verb" wait_until grep -q "$answer" terminal
        printf '\004' >&3
        check "one end of the text is enough: $verb" wait_until is_gone $process
        wait $process
        check "it is no mistake: $verb" [ $? -eq 0 ]
        exec 3>&-
        check "the last prompt ends its line: $verb" [ "$(tail -c 1 terminal | od -An -c | tr -d ' ')" = '\n' ]
    done <<'END'
classify judge|good|positive|a	b	c|text> 
answer oracle|which film ?	a good film|good|no tab|question, tab, text> 
END
else
    echo "skipped: there is no script(1) to make a terminal with"
fi
finish
