# shellcheck shell=bash
# Helpers of the shell tests; source this file. Every check prints nothing when it holds. The last
# line of a test is "N passed, N failed", and its exit status tells whether any failed.
#
#     expect CODE COMMAND...     runs it: exit status CODE, output kept for the checks below
#     expect_failure COMMAND...  the same for any of Pare's failures: 2, 3 or 4
#     stdout_is TEXT             its standard output is exactly TEXT (and a final newline)
#     stdout_has PATTERN         some line of it matches the extended regular expression
#     stdout_is_empty
#     stderr_is, stderr_has, stderr_is_empty   the same for standard error
#     stderr_is_one_line         an error message for the user: one line, 'pare: ...' or 'pare VERB: ...'
#     check NAME COMMAND...      a condition of your own
#     finish                     prints the totals and ends the test
#
# Tests run in a directory of their own, $work, which is removed at the end.
set -u
LC_ALL=C
export LC_ALL
passed=0
failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/pare-test-XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work" || exit 1

pass() {
    passed=$((passed + 1))
}

fail() {
    failed=$((failed + 1))
    printf 'FAILED line %s: %s\n' "${BASH_LINENO[-2]}" "$1"
}

show_output() {
    printf '    command: %s\n' "$last_command"
    sed 's/^/    stdout: /' "$work/.stdout" | head -n 20 | cut -c 1-300
    sed 's/^/    stderr: /' "$work/.stderr" | head -n 20 | cut -c 1-300
}

run() {
    last_command=$*
    "$@" >"$work/.stdout" 2>"$work/.stderr" </dev/null
    status=$?
}

expect_failure() {
    run "$@"
    case $status in
    2 | 3 | 4) pass ;;
    *)
        fail "exit status $status, expected 2, 3 or 4"
        show_output
        ;;
    esac
}

expect() {
    local wanted=$1
    shift
    run "$@"
    if [ "$status" -eq "$wanted" ]; then
        pass
    else
        fail "exit status $status, expected $wanted"
        show_output
    fi
}

matches_exactly() {
    if printf '%s\n' "$2" | cmp -s - "$work/.$1"; then
        pass
    else
        fail "$1 is not exactly: $2"
        show_output
    fi
}

matches_pattern() {
    if grep -Eq -- "$2" "$work/.$1"; then
        pass
    else
        fail "$1 has no line like: $2"
        show_output
    fi
}

is_empty() {
    if [ -s "$work/.$1" ]; then
        fail "$1 is not empty"
        show_output
    else
        pass
    fi
}

stdout_is() { matches_exactly stdout "$1"; }
stderr_is() { matches_exactly stderr "$1"; }
stdout_has() { matches_pattern stdout "$1"; }
stderr_has() { matches_pattern stderr "$1"; }

stdout_is_empty() { is_empty stdout; }
stderr_is_empty() { is_empty stderr; }

# Of the last command's standard output, in bytes.
widest_line() {
    awk 'length > widest { widest = length } END { print widest + 0 }' "$work/.stdout"
}

stderr_is_one_line() {
    if [ "$(wc -l <"$work/.stderr")" -eq 1 ] && grep -Eq '^pare( [a-z]+)?: ' "$work/.stderr"; then
        pass
    else
        fail "standard error is not one line that begins 'pare: ' or 'pare VERB: '"
        show_output
    fi
}

check() {
    local name=$1
    shift
    if "$@"; then
        pass
    else
        fail "$name"
    fi
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}

# ---- A small experiment that trains in a second ----

# write_text FILE LINES: sentences of a small vocabulary with some order in them.
write_text() {
    awk -v lines="$2" 'BEGIN {
        split("the a one no every", determiner, " ")
        split("cat dog king river house tree star book", noun, " ")
        split("sees loves follows reads leaves", verb, " ")
        state = 12345
        for (i = 0; i < lines; i++) {
            for (word = 0; word < 4; word++)
                state = draw[word] = (state * 1103515245 + 12345) % 2147483648
            print determiner[int(draw[0] / 65536) % 5 + 1], noun[int(draw[1] / 65536) % 8 + 1],
                verb[int(draw[2] / 65536) % 5 + 1], "the", noun[int(draw[3] / 65536) % 8 + 1], "."
        }
    }' >"$1"
}

# write_recipe FILE TEXT
write_recipe() {
    cat >"$1" <<END
name: small
data:
  train: $2
model:
  layers: 2
  heads: 2
  head_size: 8
  size: 16
  feed_forward: 32
  memory: 12
training:
  rate: 0.01
  steps: 24
  batch: 4
  length: 12
  evaluate_every: 8
  log_every: 8
  seed: 1
evaluation:
  batch: 2
sweep:
  percents: [50, 80]
  random_percents: [80]
  random_seeds: [1]
END
}

# ---- A translation of a few words that is learned in seconds ----

# write_pairs SOURCE TARGET: every sentence of one to three of four words, and its translation word
# by word.
write_pairs() {
    awk -v target="$2" 'BEGIN {
        words = split("ba ke mo ri", source, " ")
        split("eins zwei drei vier", translated, " ")
        for (length_ = 1; length_ <= 3; length_++)
            for (i = 0; i < words ^ length_; i++) {
                rest = i
                line = other = ""
                for (word = 0; word < length_; word++) {
                    n = rest % words + 1
                    rest = int(rest / words)
                    line = line (word ? " " : "") source[n]
                    other = other (word ? " " : "") translated[n]
                }
                print line
                print other > target
            }
    }' >"$1"
}

# write_pairs_recipe FILE SOURCE TARGET: of whole words.
write_pairs_recipe() {
    cat >"$1" <<END
name: pairs
task: translation
data:
  train.source: $2
  train.target: $3
  valid.source: $2
  valid.target: $3
  tokenised: true
  maximum_vocabulary: 50
model: {layers: 1, heads: 2, size: 32, feed_forward: 32, positions: 12, dropout: 0}
training:
  optimizer: adamw
  rate: 0.005
  schedule: linear
  label_smoothing: 0
  clip: 1
  tokens: 200
  length: 8
  steps: 250
  keep: last
  seed: 1
sweep: {percents: [50]}
END
}
