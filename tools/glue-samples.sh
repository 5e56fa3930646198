#!/usr/bin/env bash
# Splits the samples of QNLI and QQP in PARE_DATA, of which only one part is there, into files to
# train on and files to evaluate on: every fifth example goes to the latter.
#
#     tools/glue-samples.sh [DIRECTORY]          default: samples/glue
set -euo pipefail
if [ $# -gt 1 ]; then
    echo "usage: tools/glue-samples.sh [DIRECTORY]" >&2
    exit 2
fi
directory=${1:-$(dirname "$0")/../samples/glue}
glue=${PARE_DATA:?name the directory of the data sets in PARE_DATA}/glue
mkdir -p "$directory"

# split SOURCE NAME: a header, then one example a line
split() {
    if [ ! -r "$glue/$1" ]; then
        echo "glue-samples: $glue/$1 is missing; see the data's README" >&2
        exit 1
    fi
    gzip -dc "$glue/$1" | awk -v train="$directory/$2-train.tsv" -v valid="$directory/$2-valid.tsv" '
        NR == 1 { print > train; print > valid; next }
        NR % 5 == 1 { print > valid; held_out++; next }
        { print > train }
        END { print train ": " NR - 1 - held_out " examples; " valid ": " held_out }'
}

split QNLI/dev.tsv.gz qnli
split QQP-sample/qqp_train_1k.tsv.gz qqp
