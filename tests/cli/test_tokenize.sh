#!/usr/bin/env bash
# pare tokenize: pieces and offsets of lines, streams, vocabularies, and files that are no tokenizers.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"

mkdir bert
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' un '##aff' '##able' é e '"' , >bert/vocab.txt
printf 'Unaffable, [MASK]\n\nÉ"\xff é zzz' >text

expect 0 "$pare" tokenize bert text
stdout_is $'un ##aff ##able , [MASK]\n\ne " e [UNK]'
stderr_is_empty

# Offsets count characters, the byte that is none among them; tokens are JSON strings.
expect 0 "$pare" tokenize bert text --json
stdout_is '{"ids": [5, 6, 7, 11, 4], "tokens": ["un", "##aff", "##able", ",", "[MASK]"], "offsets": [[0, 2], [2, 5], [5, 9], [9, 10], [11, 17]]}
{"ids": [], "tokens": [], "offsets": []}
{"ids": [9, 10, 9, 1], "tokens": ["e", "\"", "e", "[UNK]"], "offsets": [[0, 1], [1, 2], [4, 5], [6, 9]]}'

# gzip, and standard input.
gzip -k text
"$pare" tokenize bert text --json >plain.out
"$pare" tokenize bert text.gz --json >gzip.out
"$pare" tokenize bert - --json <text.gz >stream.out
check "gzip gives the same" cmp plain.out gzip.out
check "a gzip stream gives the same" cmp plain.out stream.out
"$pare" tokenize bert --json <text >nameless.out
check "no file is the standard input" cmp plain.out nameless.out

# A line is answered before the next one is written.
mkfifo questions answers
"$pare" tokenize bert - <questions >answers &
exec 3>questions 4<answers
echo 'é' >&3
answer=
read -r -t 20 answer <&4
check "a pipe is answered line by line" [ "$answer" = e ]
exec 3>&- 4<&-
wait

# Settings beside vocab.txt.
mkdir cased
cp bert/vocab.txt cased
echo '{"do_lower_case": false}' >cased/tokenizer_config.json
expect 0 "$pare" tokenize cased text
stdout_has '^\[UNK\] , \[MASK\]$'
stdout_has '^\[UNK\] " é \[UNK\]$'

# A vocabulary of one's own.
write_text corpus 200
expect 0 "$pare" tokenize mine corpus --train --size 60
stdout_is 'mine: a vocabulary of 60 pieces'
check "there are 60 lines" [ "$(wc -l <mine/vocab.txt)" -eq 60 ]
expect 0 "$pare" tokenize mine corpus --json
stdout_has '"the"'
expect 2 "$pare" tokenize mine corpus --train
stderr_is "pare tokenize: mine has a tokenizer already; name another directory; see 'pare tokenize --help'"
expect 2 "$pare" tokenize small corpus --train --size 10
stderr_is_one_line
check "nothing is written" [ ! -e small ]
expect 2 "$pare" tokenize bert text --size 10
stderr_has 'for --train'
expect 0 "$pare" tokenize --help
stdout_has '^ +--size N .*; 0 or none: 8000$'
expect 2 "$pare" tokenize small --train
stderr_has 'name one'
printf 'a\0b\n' >binary
expect 3 "$pare" tokenize small binary --train
stderr_is_one_line

# Byte-pair encoding: of two texts together, its kind recognised from the file.
printf 'Der Fluss, der Fluss .\nder Weg\n' >de
printf 'the river , the road .\nthe River\n' | gzip >en.gz
expect 0 "$pare" tokenize pairs/both de en.gz --train --kind bpe --size 37
stdout_is 'pairs/both: a vocabulary of 37 pieces'
printf 'der Rover\n\n</s>' >words
expect 0 "$pare" tokenize pairs/both words
stdout_is $'der</w> r o v er</w>\n\n<unk> <unk> s <unk>'
expect 0 "$pare" tokenize pairs/both words --json
stdout_has '^\{"ids": \[[0-9, ]+\], "tokens": \["der</w>", "r", "o", "v", "er</w>"\], "offsets": \[\[0, 3\], \[4, 5\]'
expect 0 "$pare" tokenize raw de --train --kind bpe-raw --cased
stdout_has '^raw: a vocabulary of [0-9]+ pieces$'
printf ' Fluss,der  X' >words
expect 0 "$pare" tokenize raw words
stdout_is '▁Fluss , der ▁ <unk>'
printf '#version: 0.2\nt h\nth e</w>\n' >codes
expect 0 "$pare" tokenize codes-only --train --merges-file codes
stdout_is 'codes-only: a vocabulary of 12 pieces'
expect 0 "$pare" tokenize codes-and-text en.gz --train --merges-file codes
"$pare" tokenize codes-and-text en.gz >.stdout
stdout_has '^the</w> r i v e r</w> ,</w> the</w>'
expect 2 "$pare" tokenize raw de --train --kind bpe
stderr_has 'raw has a tokenizer already'
expect 2 "$pare" tokenize other de --train --kind bpe --size 12
stderr_has 'de: special tokens and characters alone are [0-9]+'
expect 2 "$pare" tokenize other de en.gz --train
stderr_has 'several with --kind bpe'
expect 2 "$pare" tokenize other --train --merges-file codes --size 100
stderr_has 'leave --size'
expect 2 "$pare" tokenize raw de en.gz
stderr_has 'one FILE at a time'
expect 2 "$pare" tokenize raw de --kind bpe
stderr_has 'for --train'
echo 't h' >>codes
expect 3 "$pare" tokenize other --train --merges-file codes
stderr_is 'pare tokenize: codes: line 4: "t" and "h" are merged already, by merge 1'
check "nothing is written" [ ! -e other ]
sed 's/"WhitespaceSplit"/"ByteLevel"/' pairs/both/tokenizer.json >raw/tokenizer.json
expect 7 "$pare" tokenize raw de
stderr_has 'raw/tokenizer.json: this pre_tokenizer, "ByteLevel", is not supported'
stderr_is_one_line

# What is no tokenizer.
expect 4 "$pare" tokenize absent text
stderr_is 'pare tokenize: absent: there is no such directory; name one with a model and its tokenizer'
expect 4 "$pare" tokenize bert absent
stderr_is_one_line
mkdir bad
head -n 4 bert/vocab.txt >bad/vocab.txt
expect 3 "$pare" tokenize bad text
stderr_has 'bad/vocab.txt: the special token "\[MASK\]" is not among its 4 tokens'
cat bert/vocab.txt bert/vocab.txt >bad/vocab.txt
expect 3 "$pare" tokenize bad text
stderr_has 'bad/vocab.txt: line 13: token "\[PAD\]" has the id 0 already'
head -c 500 mine/tokenizer.json >bad/tokenizer.json
expect 3 "$pare" tokenize bad text
stderr_has 'bad/tokenizer.json: not valid JSON \(line [0-9]+'
sed 's/"BertNormalizer"/"NFKC"/' mine/tokenizer.json >bad/tokenizer.json
expect 7 "$pare" tokenize bad text
stderr_has 'bad/tokenizer.json: normalizer "NFKC" is not supported'
stderr_is_one_line
if [ -w /dev/full ]; then
    "$pare" tokenize bert text >/dev/full 2>.stderr
    check "a full disk is an error" [ $? -eq 4 ]
fi
finish
