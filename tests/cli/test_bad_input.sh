#!/usr/bin/env bash
# What users and disks do wrong: every case ends with its exit status (3: contents, 4: files, 2:
# wrong use) and one line that names the culprit; nothing crashes and nothing good is lost.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"
write_text text.txt 700
write_recipe recipe.yaml "$work/text.txt"

# refused CODE CULPRIT COMMAND...
refused() {
    local code=$1 culprit=$2
    shift 2
    expect "$code" "$@"
    stderr_is_one_line
    stderr_has "$culprit"
    stdout_is_empty
}
# shellcheck disable=SC2317 # called through refused and expect
train() {
    "$pare" train recipe.yaml --output run "$@"
}

# ---- Texts ----
: >empty.txt
printf 'two\0words\n' >binary.txt
gzip -c text.txt >whole.gz
head -c 300 whole.gz >cut.gz
head -c 100000 /dev/urandom >noise.bin
refused 4 'absent.txt' train --set data.train=absent.txt
refused 4 "$work" train --set "data.train=$work"
refused 3 'empty.txt' train --set data.train=empty.txt
refused 3 'binary.txt' train --set data.train=binary.txt
refused 3 'noise.bin' train --set data.train=noise.bin
refused 3 'cut.gz' train --set data.train=cut.gz
refused 3 'empty.txt' train --set data.train=text.txt --set data.valid=empty.txt \
    --set data.test=text.txt
printf 'too short\n' >short.txt
expect_failure train --set data.train=short.txt
stderr_is_one_line
check "no refused run left a model" [ ! -e run/model.safetensors ]
rm -rf run

expect 0 train --set data.train=whole.gz --set training.steps=2
rm -rf run
awk 'BEGIN { for (i = 0; i < 3000; i++) print "word word word" }' >one.txt
expect 0 train --set data.train=one.txt --set training.steps=2
rm -rf run
awk 'BEGIN { for (i = 0; i < 2000000; i++) printf "%s ", i % 97; print "" }' >line.txt
check "the long line is about 10 MB" [ "$(wc -c <line.txt)" -gt 5500000 ]
expect 0 train --set data.train=line.txt --set data.valid=text.txt --set data.test=text.txt \
    --set training.steps=2
rm -rf run
head -c 10000000 /dev/zero | tr '\0' 'x' >word.txt
cat word.txt text.txt >long_word.txt
expect 0 train --set data.train=long_word.txt --set data.valid=text.txt --set data.test=text.txt \
    --set training.steps=2
rm -rf run long_word.txt word.txt line.txt
sed 's/cat/c\xff\xfet/' text.txt >latin.txt
expect 0 train --set data.train=latin.txt --set training.steps=2
rm -rf run

# ---- Recipes ----
refused 4 'absent.yaml' "$pare" train absent.yaml --output run
refused 4 "$work" "$pare" train "$work" --output run
expect_failure "$pare" train noise.bin --output run
stderr_has 'noise.bin'
expect_failure "$pare" train empty.txt --output run
stderr_is_one_line
sed 's/heads: 2/haeds: 2/' recipe.yaml >unknown.yaml
refused 3 'unknown.yaml.*(line 6.*haeds|haeds.*line 6)|unknown.yaml:6.*haeds' \
    "$pare" train unknown.yaml --output run
sed 's/heads: 2/heads: two/' recipe.yaml >typed.yaml
refused 3 'typed.yaml' "$pare" train typed.yaml --output run
sed 's/heads: 2/heads: [2/' recipe.yaml >syntax.yaml
refused 3 'syntax.yaml' "$pare" train syntax.yaml --output run
sed 's/  heads: 2/  heads: 2\n  heads: 3/' recipe.yaml >twice.yaml
refused 3 'heads' "$pare" train twice.yaml --output run
expect_failure train --set model.haeds=2
stderr_is_one_line
stderr_has 'haeds'
expect_failure train --set model.heads
stderr_is_one_line
for wrong in model.heads=0 model.heads=-1 model.layers=0 model.head_size=0 model.dropout=1.5 \
    training.batch=0 training.length=0 training.rate=-1 training.rate=nan \
    training.optimizer=sgd model.heads=99999999999 model.size=99999999999; do
    expect_failure train --set "$wrong"
    stderr_is_one_line
done
for wrong in -1 101 1e9 nan many; do
    expect_failure "$pare" sweep recipe.yaml --output run --set "sweep.percents=[$wrong]"
    stderr_is_one_line
done
sed "s|train: .*|train: \${PARE_DATA}/text.txt|" recipe.yaml >variable.yaml
expect_failure env -u PARE_DATA "$pare" train variable.yaml --output run
stderr_has 'PARE_DATA'
check "no refused recipe left a model" [ ! -e run/model.safetensors ]

# ---- Models, masks, averages ----
rm -rf run
expect 0 train
expect 0 "$pare" observe run --recipe recipe.yaml --output average.safetensors
expect 0 "$pare" prune average.safetensors --percent 50 --output mask.safetensors
for good in mask.safetensors average.safetensors; do
    head -c 100 $good >"cut_$good"
    head -c -1 $good >"short_$good"
    (cat $good && echo) >"long_$good"
    cp empty.txt "empty_$good"
    cp noise.bin "noise_$good"
    cp text.txt "text_$good"
done
for damage in cut short long empty noise text; do
    refused 3 "${damage}_mask" "$pare" eval run --text text.txt --mask ${damage}_mask.safetensors
    refused 3 "${damage}_average" "$pare" prune ${damage}_average.safetensors --percent 50
    refused 3 "${damage}_mask" "$pare" info ${damage}_mask.safetensors
done
refused 3 'average.safetensors' "$pare" eval run --text text.txt --mask average.safetensors
refused 3 'mask.safetensors' "$pare" prune mask.safetensors --percent 50
refused 4 'absent' "$pare" eval absent --text text.txt
refused 4 'absent' "$pare" prune absent --percent 50
refused 4 'absent' "$pare" report absent
refused 4 'absent.txt' "$pare" eval run --text absent.txt

# Before the pass over the data, whose progress would be a line more.
expect 0 "$pare" observe run --recipe recipe.yaml --length 8 --output shorter.safetensors
expect 0 "$pare" observe run --recipe recipe.yaml --merge average.safetensors \
    --output merged.safetensors
refused 2 'cannot be merged' "$pare" observe run --recipe recipe.yaml --merge shorter.safetensors
refused 4 'absent' "$pare" observe run --recipe recipe.yaml --merge absent
refused 4 'nowhere/a: cannot write' "$pare" observe run --recipe recipe.yaml --output nowhere/a
refused 4 'run: cannot write: Is a directory' "$pare" observe run --recipe recipe.yaml --output run
refused 2 'language-modelling has none' "$pare" eval run --recipe recipe.yaml --predictions answers
check "nothing is written" [ ! -e answers ]

# A mask of another model says so.
expect 0 "$pare" train recipe.yaml --output other --set model.heads=4 --set training.steps=2
expect_failure "$pare" eval other --text text.txt --mask mask.safetensors
stderr_is_one_line
stderr_has 'mask'

damaged() { # NAME FILE: a copy of the model whose FILE is what comes on standard input
    rm -rf "$1"
    cp -r run "$1"
    cat >"$1/$2"
}
head -c 2000 run/model.safetensors | damaged cut model.safetensors
refused 3 'cut/model.safetensors' "$pare" eval cut --text text.txt
damaged hollow model.safetensors </dev/null
refused 3 'hollow/model.safetensors' "$pare" eval hollow --text text.txt
echo '{"model_type": "transfo-xl"' | damaged unclosed config.json
refused 3 'unclosed/config.json' "$pare" eval unclosed --text text.txt
echo '{}' | damaged bare config.json
refused 3 'bare/config.json' "$pare" eval bare --text text.txt
sed 's/"d_inner": 32/"d_inner": 48/' run/config.json | damaged shapes config.json
refused 3 'shapes/' "$pare" eval shapes --text text.txt
sed 's/"n_layer": 2/"n_layer": 2, "n_layer": 2/' run/config.json | damaged doubled config.json
refused 3 'doubled/config.json' "$pare" eval doubled --text text.txt
echo '[1, 2]' | damaged words vocab.json
refused 3 'words/vocab.json' "$pare" eval words --text text.txt
rm -rf missing && cp -r run missing && rm missing/vocab.json
refused 4 'missing/vocab.json' "$pare" eval missing --text text.txt

# ---- Places that cannot be written ----
refused 4 'text.txt' "$pare" train recipe.yaml --output text.txt/run
refused 4 'nowhere' "$pare" prune average.safetensors --percent 50 --output nowhere/mask.safetensors
mkdir closed
chmod 555 closed
if [ "$(id -u)" -ne 0 ]; then
    refused 4 'closed' "$pare" train recipe.yaml --output closed/run
    refused 4 'closed' "$pare" prune average.safetensors --percent 50 --output closed/m.safetensors
elif command -v setpriv >/dev/null; then # root may write anywhere
    chmod 755 "$work"
    cp "$pare" pare_copy
    refused 4 'closed' setpriv --reuid=65534 --clear-groups "$work/pare_copy" train recipe.yaml \
        --output closed/run
fi

# ---- No space: what was there stays, and with space the run goes on to the same end ----
# with_limit BLOCKS COMMAND...: files of at most so many kB; standard error may be longer.
# shellcheck disable=SC2317 # called through expect
with_limit() {
    (ulimit -f "$1" && "${@:2}") 2>&1 >/dev/null | cat >&2
    return "${PIPESTATUS[0]}"
}
cp mask.safetensors kept.safetensors
expect 4 with_limit 0 "$pare" prune average.safetensors --percent 90 --output mask.safetensors
stderr_is 'pare prune: mask.safetensors: cannot write: File too large'
check "the old mask is still there" cmp -s mask.safetensors kept.safetensors
expect 4 with_limit 8 "$pare" train recipe.yaml --output full
stderr_has '^pare train: full/.*: cannot write: File too large'
expect 0 "$pare" train recipe.yaml --output full
check "after a full disk training ends with the same weights" \
    cmp -s full/model.safetensors run/model.safetensors
if unshare -m true 2>/dev/null; then
    mkdir disk
    # shellcheck disable=SC2016 # the inner shell's variables
    expect 4 unshare -m sh -c 'mount -t tmpfs -o size=64k none disk &&
        "$0" train recipe.yaml --output disk/run' "$pare"
    stderr_has '^pare train: disk/run.*: cannot write: No space left on device'
fi
finish
