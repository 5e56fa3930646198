#!/usr/bin/env bash
# Help pages, versions and wrong use: every verb explains itself, and every mistake is one line on
# standard error with exit status 2 and nothing on standard output.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"

verbs="sweep train observe prune eval generate classify answer translate score report bench tokenize info"

expect 0 "$pare" --help
for verb in $verbs; do
    stdout_has "^  $verb +[a-z]"
done
stdout_has 'Exit codes'
stderr_is_empty
expect 2 "$pare"
stderr_has '^Usage: pare VERB'
stdout_is_empty
expect 0 "$pare" --version
stdout_has '^pare [0-9]+\.[0-9]+\.[0-9]+$'

expect 2 "$pare" prunes
stderr_is "pare: unknown verb 'prunes'; 'pare help' lists them"

for verb in $verbs; do
    expect 0 "$pare" "$verb" --help
    stdout_has "^Usage: pare $verb"
    stdout_has '^Example'
    stdout_has "^  pare $verb"
    stderr_is_empty
    check "the help of $verb fits 100 columns" [ "$(widest_line)" -le 100 ]

    expect 2 "$pare" "$verb" --no-such-option
    stderr_is_one_line
    stderr_has 'no-such-option'
    stdout_is_empty
done

for verb in sweep train observe prune eval generate classify answer translate score report tokenize; do
    expect 2 "$pare" "$verb"
    stderr_is_one_line
    stderr_has "^pare $verb: an argument is missing: pare $verb [A-Z]+"
done

expect 2 "$pare" info one two
stderr_is "pare info: unexpected argument 'two'; see 'pare info --help'"
expect 2 "$pare" info --json=yes
stderr_is "pare info: --json takes no value; see 'pare info --help'"
expect 2 "$pare" info --threads
stderr_is "pare info: --threads needs a value (N); see 'pare info --help'"
for wrong in many -1 1.5 "" 99999999999999999999; do
    expect 2 "$pare" info --threads "$wrong"
    stderr_is "pare info: --threads needs a whole number, not '$wrong'; see 'pare info --help'"
done
expect 2 "$pare" eval model
stderr_is "pare eval: give either --recipe or --text; see 'pare eval --help'"
expect 2 "$pare" eval model --text a.txt --recipe b.yaml
stderr_is "pare eval: give either --recipe or --text; see 'pare eval --help'"
expect 2 "$pare" eval model --text a.txt --split everything
stderr_is "pare eval: --split cannot be 'everything'; see 'pare eval --help'"
expect 2 "$pare" train recipe.yaml
stderr_is "pare train: --output is missing; see 'pare train --help'"
for wrong in -1 100.5 nan inf ten ""; do
    expect 2 "$pare" prune average.safetensors --percent "$wrong"
    stderr_is_one_line
    stderr_has 'percent'
done
expect 2 "$pare" prune average.safetensors
stderr_is_one_line
expect 2 "$pare" generate model --top-p 0
stderr_is_one_line
expect 2 "$pare" generate model --temperature -1
stderr_is_one_line

# A full disk under standard output is noticed.
if [ -w /dev/full ]; then
    expect 4 sh -c "'$pare' --help >/dev/full"
    stderr_has 'cannot write to standard output'
    expect 4 sh -c "'$pare' info >/dev/full"
    stderr_has 'cannot write .*standard output'
    expect 4 sh -c "'$pare' info --json >/dev/full"
    stderr_has 'cannot write .*standard output'
fi
finish
