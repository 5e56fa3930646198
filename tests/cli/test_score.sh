#!/usr/bin/env bash
# pare score: scores of two files, as a table and as JSON, and files that cannot be scored.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"

printf 'A dog runs, fast.\nTwo m@@ en &amp; a boy\n' >hypotheses
printf 'A dog runs, fast.\r\nTwo men & a Boy' >references

# BLEU and chrF2 are what sacreBLEU 2.6.0 prints. Of tokens as they stand, without the joint, 7 of 9
# match, 4 of 7 pairs, 2 of 5 triples and 1 of 3 fours: the fourth root of 8/135.
expect 0 "$pare" score hypotheses references
stdout_is 'BLEU             46.86  nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0
                        64.3/50.0/40.0/37.5, brevity penalty 1.000
chrF2            70.22  nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0
tokenised BLEU   49.34  of the tokens as they stand, no smoothing
2 segments, 14 tokens (13a), 11 in the references'
stderr_is_empty

expect 0 "$pare" score hypotheses references --json
stdout_is '{
  "bleu": 46.8590991,
  "signature": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
  "chrf": 70.2174674,
  "chrf_signature": "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0",
  "tokenised_bleu": 49.3388536,
  "precisions": [
    64.2857143,
    50.0,
    40.0,
    37.5
  ],
  "brevity_penalty": 1.0,
  "hypothesis_length": 14,
  "reference_length": 11,
  "segments": 2
}'

expect 0 "$pare" score hypotheses references --lower-case
stdout_has '^BLEU +52\.87  nrefs:1\|case:lc\|'
stdout_has '^chrF2 +74\.56  nrefs:1\|case:lc\|'
stdout_has '^tokenised BLEU .*, lower case$'

# gzip, and standard input for either side.
gzip -k hypotheses
"$pare" score hypotheses references --json >plain.out
"$pare" score hypotheses.gz references --json >gzip.out
"$pare" score - references --json <hypotheses.gz >first.out
"$pare" score hypotheses - --json <references >second.out
check "gzip gives the same" cmp plain.out gzip.out
check "a stream of hypotheses gives the same" cmp plain.out first.out
check "a stream of references gives the same" cmp plain.out second.out

# The same text, with bytes that are no text, scores 100.
printf 'one two three four\n\n\xff\xfe\0\n' >odd
expect 0 "$pare" score odd odd
stdout_has '^BLEU +100\.00 '
stdout_has '^chrF2 +100\.00 '
stdout_has '^tokenised BLEU +100\.00 '
stdout_has '^3 segments, 5 tokens'

# What cannot be scored.
printf '\n' >line
: >empty
expect 3 "$pare" score hypotheses line
stderr_is 'pare score: hypotheses has 2 lines, but line has 1; give each segment one line in both'
expect 3 "$pare" score line odd --json
stderr_is 'pare score: line has 1 line, but odd has 3; give each segment one line in both'
stdout_is_empty
expect 3 "$pare" score empty line
stderr_has 'empty has 0 lines, but line has 1'
expect 3 "$pare" score empty empty
stderr_is 'pare score: empty and empty are empty; there is nothing to score'
expect 3 "$pare" score - line
stderr_has 'standard input has 0 lines, but line has 1'
expect 2 "$pare" score - -
stderr_is_one_line
stderr_has 'both be the standard input'
expect 4 "$pare" score hypotheses absent
stderr_has '^pare score: absent: cannot open'
expect 2 "$pare" score hypotheses
stderr_has 'an argument is missing'
head -c 20 hypotheses.gz >cut.gz
expect 3 "$pare" score cut.gz references
stderr_has 'cut\.gz'
stderr_is_one_line
finish
