#!/usr/bin/env bash
# pare info: the machine, and the choice of an instruction-set level.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"
unset PARE_ISA

expect 0 "$pare" info --threads 3
stdout_has '^Pare [0-9.]+$'
stdout_has '^CPU +[^ ]'
stdout_has '^threads +3$'
stdout_has '^kernels +[a-z0-9-]+$'
stderr_is_empty
chosen=$(sed -n 's/^kernels *//p' .stdout)

expect 0 "$pare" info --json --threads 2
stdout_has '"threads": 2'
stdout_has "\"level\": \"$chosen\""
levels=$(tr -d '\n' <.stdout | sed 's/.*"levels": \[\([^]]*\)\].*/\1/' | tr -d '", ' )
check "the chosen level is among the levels" grep -q "$chosen" <<<"$levels"

# Every level that is offered can be had.
tr -d '\n' <.stdout | sed 's/.*"levels": \[\([^]]*\)\].*/\1/' | tr ',' '\n' | tr -d '" ' >levels
check "there is a level" [ -s levels ]
while read -r level; do
    expect 0 env PARE_ISA="$level" "$pare" info
    stdout_has "^kernels +$level$"
    stdout_has "PARE_ISA"
done <levels

expect 2 env PARE_ISA=avx2 "$pare" info
stderr_is_one_line
stderr_has "unknown instruction-set level 'avx2' \(PARE_ISA\); use x86-64-v2, x86-64-v3"
stdout_is_empty
if [ "$(uname -m)" = x86_64 ]; then
    expect 2 env PARE_ISA=neon "$pare" info
    stderr_has "'neon' \(PARE_ISA\) is not available on this CPU.*best one here is $chosen"
fi
expect 2 "$pare" info --threads 100000
stderr_is_one_line
stderr_has 'threads must be 1 to 1024'

expect 4 "$pare" info absent.safetensors
stderr_is_one_line
stderr_has 'absent.safetensors'
finish
