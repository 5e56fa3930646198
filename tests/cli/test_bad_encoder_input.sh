#!/usr/bin/env bash
# What users do wrong with encoders: damaged checkpoints, files that disagree, tables and questions
# with faults. Every case ends with its exit status and one line that names the culprit; nothing
# crashes and no model is left half-written.
set -u
pare=$(realpath "$1")
# shellcheck source=tests/cli/library.sh
. "$(dirname "$(realpath "$0")")/library.sh"

# ---- A checkpoint, a table and questions that are in order ----
write_text text.txt 400
cat >pretrain.yaml <<END
name: pretrain
task: masked-language-modelling
data:
  train: text.txt
  maximum_vocabulary: 80
model: {layers: 1, heads: 2, size: 16, feed_forward: 16, positions: 24}
training: {optimizer: adamw, rate: 0.001, steps: 2, batch: 8, length: 24}
END
grep -v maximum_vocabulary pretrain.yaml | sed 's/^model.*/model: {checkpoint: encoder}/' >adapt.yaml
cat >classify.yaml <<END
name: classify
task: classification
data: {train: train.tsv, valid: dev.tsv, text_column: text, label_column: label}
model: {checkpoint: encoder}
training: {optimizer: adamw, rate: 0.001, steps: 2, batch: 4, length: 16}
END
cat >answer.yaml <<END
name: answer
task: question-answering
data: {train: squad.json, valid: squad.json, stride: 8, question_length: 8}
model: {checkpoint: encoder}
training: {optimizer: adamw, rate: 0.001, steps: 2, batch: 4, length: 24}
END
{
    printf 'text\tlabel\n'
    for noun in cat dog king river house; do
        printf 'the %s sees\tgood\nno %s reads\tbad\n' "$noun" "$noun"
    done
} >train.tsv
cp train.tsv dev.tsv
# questions CONTEXT QUESTION ANSWER START
questions() {
    printf '{"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "%s", "qas": [' "$1"
    printf '{"id": "q1", "question": "%s", "answers": [{"text": "%s", "answer_start": %s}]}' "$2" "$3" "$4"
    printf ']}]}]}\n'
}
questions 'the cat sees the dog .' 'the cat sees ?' 'the dog' 13 >squad.json
expect 0 "$pare" train pretrain.yaml --output encoder
check "the encoder came with its tokenizer" [ -s encoder/vocab.txt ]
expect 0 "$pare" train classify.yaml --output good
expect 0 "$pare" train answer.yaml --output answers

# accepted COMMAND...: in a fresh directory, like refused.
accepted() {
    rm -rf run
    expect 0 "$@"
}
# refused CODE CULPRIT COMMAND...
refused() {
    local code=$1 culprit=$2
    shift 2
    rm -rf run
    expect "$code" "$@"
    stderr_is_one_line
    stderr_has "$culprit"
    check "$*: nothing was written" [ ! -e run ]
}
# shellcheck disable=SC2317 # called through refused and expect
train() {
    "$pare" train "$1.yaml" --output run "${@:2}"
}
# damage FILE EXPRESSION: a copy of the encoder in `bad`, one of its files edited.
damage() {
    rm -rf bad
    cp -r encoder bad
    sed -i "$2" "bad/$1"
    check "$1 was changed by $2" cmp_differs "encoder/$1" "bad/$1"
}
# shellcheck disable=SC2317 # called through check
cmp_differs() {
    ! cmp -s "$1" "$2"
}
# refused_checkpoint CODE CULPRIT: `bad` serves for nothing.
refused_checkpoint() {
    refused "$1" "$2" train classify --set model.checkpoint=bad
}

# ---- Weights ----
rm -rf bad && cp -r encoder bad
for size in 0 7 8 100 2000; do
    head -c "$size" encoder/model.safetensors >bad/model.safetensors
    refused_checkpoint 3 'bad/model.safetensors'
done
{ cat encoder/model.safetensors; echo; } >bad/model.safetensors
refused_checkpoint 3 'bad/model.safetensors'
damage model.safetensors '0,/"F32"/s//"F64"/'
refused_checkpoint 3 'bad/model.safetensors'
damage model.safetensors '0,/"data_offsets":\[[0-9]/s//"data_offsets":[9/'
refused_checkpoint 3 'bad/model.safetensors'
damage model.safetensors '0,/self.query.weight/s//self.query.height/'
refused_checkpoint 3 'bad/model.safetensors.*query.height'
rm bad/model.safetensors
refused_checkpoint 4 'bad/model.safetensors'
echo weights >bad/pytorch_model.bin
refused_checkpoint 7 'pytorch_model.bin.*save_pretrained|save_pretrained.*pytorch_model.bin'

# ---- Configuration against weights ----
damage config.json 's/"hidden_size": 16/"hidden_size": 32/'
refused_checkpoint 3 'bad/model.safetensors'
damage config.json 's/"num_hidden_layers": 1/"num_hidden_layers": 2/'
refused_checkpoint 3 'bad/model.safetensors.*layer.1.'
damage config.json 's/"intermediate_size": 16/"intermediate_size": 24/'
refused_checkpoint 3 'bad/model.safetensors.*intermediate'
damage config.json 's/"max_position_embeddings": 24/"max_position_embeddings": 512/'
refused_checkpoint 3 'bad/model.safetensors.*position'
damage config.json 's/"vocab_size": [0-9]*/"vocab_size": 20/'
refused_checkpoint 3 'bad/model.safetensors.*word_embeddings'
damage config.json 's/"num_attention_heads": 2/"num_attention_heads": 3/'
refused_checkpoint 3 'bad/config.json.*(heads|hidden_size)'
damage config.json 's/"num_attention_heads": 2/"num_attention_heads": 0/'
refused_checkpoint 3 'bad/config.json.*num_attention_heads'
damage config.json 's/"hidden_size": 16/"hidden_size": -16/'
refused_checkpoint 3 'bad/config.json.*hidden_size'
damage config.json '/"hidden_size"/d'
refused_checkpoint 3 'bad/config.json.*hidden_size'
damage config.json 's/"model_type": "bert"/"model_type": "gpt2"/'
refused_checkpoint 7 'gpt2'
damage config.json 's/"hidden_act": "gelu"/"hidden_act": "silu"/'
refused_checkpoint 7 'bad/config.json: "hidden_act" is "silu", which is not offered; only "gelu" is$'
damage config.json 's/"absolute"/"relative_key"/'
refused_checkpoint 7 'bad/config.json.*position_embedding_type.*absolute'
damage config.json '1s/{/[/'
refused_checkpoint 3 'bad/config.json'
: >bad/config.json
refused_checkpoint 3 'bad/config.json'
rm bad/config.json
refused_checkpoint 4 'bad/config.json'
refused 4 'absent' train classify --set model.checkpoint=absent

# ---- Tokenizers against models ----
# shellcheck disable=SC2016 # the dollar is sed's
damage vocab.txt '$a some\nmore\nwords'
rm bad/tokenizer.json
refused_checkpoint 2 'tokenizer'
damage vocab.txt '/\[MASK\]/d'
rm bad/tokenizer.json
refused_checkpoint 3 'bad/vocab.txt.*\[MASK\]'
damage vocab.txt '7s/.*/[CLS]/'
rm bad/tokenizer.json
refused_checkpoint 3 'bad/vocab.txt'
damage tokenizer.json 's/"WordPiece"/"BPE"/'
refused_checkpoint 7 'bad/tokenizer.json.*BPE'
damage tokenizer.json '1s/{/{{/'
refused_checkpoint 3 'bad/tokenizer.json'
rm bad/tokenizer.json bad/vocab.txt
refused_checkpoint 4 'bad.*vocab.txt|vocab.txt.*bad'

# ---- Lengths ----
refused 2 '(25|positions)' train classify --set training.length=25
refused 2 '(2|length)' train classify --set training.length=2
refused 2 'training.length 10 has no room .* data.question_length 8 ' train answer --set training.length=10
refused 2 'positions' train adapt --set training.length=64

# What is longer is cut, and told.
printf 'text\tlabel\nthe cat\tgood\nthe cat sees the dog sees the king\tbad\n' >long.tsv
accepted train classify --set training.length=8 --set data.valid=long.tsv
stderr_has 'read data: 100%, texts longer than training.length 8 are cut: .*1 of 2 in long.tsv$'
expect 0 "$pare" eval run --recipe classify.yaml --set training.length=8 --set data.valid=long.tsv
stderr_has '^texts longer than training.length 8 are cut: .*1 of 2 in long.tsv$'

# ---- Tables ----
# table CODE CULPRIT EXPRESSION: training with an edited table.
table() {
    sed "$3" train.tsv >bad.tsv
    refused "$1" "$2" train classify --set data.train=bad.tsv
}
table 3 'bad.tsv:4' '4s/\t.*//'
table 3 'bad.tsv:1.*label|bad.tsv.*label' '1s/label/labels/'
# shellcheck disable=SC2016 # the dollar is sed's
table 3 'bad.tsv' '2,$d'
table 3 'bad.tsv' 'd'
table 3 'bad.tsv:5' '5s/\t.*/\t/'
refused 4 'absent.tsv' train classify --set data.train=absent.tsv
refused 3 'column' train classify --set data.text_column=9
refused 3 'nothing' train classify --set data.text_column=nothing
refused 3 'nothing' train classify --text-columns text,nothing
refused 3 'nothing' train classify --label-column nothing
refused 2 '.--text-columns takes 2 at most' train classify --text-columns a,b,c
refused 2 '.--label-column needs NAME' train classify --label-column ''
sed '3s/bad/ugly/' dev.tsv >bad.tsv
refused 3 'bad.tsv:3.*ugly' train classify --set data.valid=bad.tsv
refused 3 'train.tsv:2.*good' train classify --set data.regression=true
printf 'text,label\nthe cat,good\nthe dog,bad\n' >commas.csv
refused 3 "commas.csv:1: no column 'text', .*separated by tabs" \
    train classify --set data.train=commas.csv
sed '1s/label/text/' train.tsv >twice.tsv
refused 3 "twice.tsv:1: 2 columns are called 'text'; name one by its number" \
    train classify --set data.train=twice.tsv
for table in train dev; do
    awk -v table=$table 'NR > 1 { $0 = $0 "." (table == "dev") NR } { print }' $table.tsv |
        sed 's/good/5/; s/bad/3/' >$table-measured.tsv
done
refused 3 "dev-measured.tsv:2: the label '5.12' does not occur .*set data.regression to true" \
    train classify --set data.train=train-measured.tsv --set data.valid=dev-measured.tsv
accepted train classify --set data.train=train-measured.tsv --set data.valid=dev-measured.tsv \
    --set data.regression=true
# --text-columns says which columns there are, whatever the recipe has.
sed 's/text_column: text/&, second_text_column: label/' classify.yaml >pairs.yaml
accepted train classify
cp run/model.safetensors single.weights
accepted train pairs
check "pairs are others" cmp_differs run/model.safetensors single.weights
accepted train pairs --text-columns text
check "one column replaces two" cmp -s run/model.safetensors single.weights
# Labels that the model knows under other names, or in another order.
for table in train dev; do sed 's/\tgood$/\tfine/' $table.tsv >$table-renamed.tsv; done
refused 2 "label [01] is '(good|bad)' in the model and '(fine|bad|good)' in the data" "$pare" eval good \
    --recipe classify.yaml --set data.train=train-renamed.tsv --set data.valid=dev-renamed.tsv
expect 0 "$pare" eval good --recipe classify.yaml
expect 0 "$pare" eval good --recipe classify.yaml --json
stdout_has '^  "predictions": 10,$'
# Texts in other encodings are refused, marks before a text are none of it.
sed '4s/the/\xe9t\xe9/' train.tsv >latin.tsv
refused 3 'latin.tsv:4: byte [0-9]+ of the line is not UTF-8; convert the text, as in' \
    train classify --set data.train=latin.tsv
sed '7s/the/\xe9t\xe9/' text.txt >latin.txt
refused 3 'latin.txt:7: byte [0-9]+ of the line is not UTF-8' "$pare" train pretrain.yaml \
    --set data.train=latin.txt --output run
refused 3 'latin.txt:7: byte [0-9]+ of the line is not UTF-8' train adapt --set data.train=latin.txt
refused 3 'latin.txt:7: byte [0-9]+ of the line is not UTF-8' "$pare" tokenize run latin.txt --train
for text in train.tsv text.txt squad.json; do { printf '\357\273\277' && cat $text; } >marked-$text; done
accepted train classify --set data.train=marked-train.tsv
accepted train answer --set data.train=marked-squad.json
accepted "$pare" train pretrain.yaml --set data.train=marked-text.txt --output run
check "a mark changes no vocabulary" cmp -s run/vocab.txt encoder/vocab.txt
check "a mark changes no weights" cmp -s run/model.safetensors encoder/model.safetensors
# Quotes are characters like others: a stray one joins no lines.
sed '3s/no/"no/' train.tsv >quoted.tsv
accepted train classify --set data.train=quoted.tsv
# A published task's columns in a table that is none of it.
sed 's/text_column.*label/glue: mrpc/' classify.yaml >glue.yaml
refused 3 'train.tsv' train glue
refused 2 "'cloa'" train glue --set data.glue=cloa
head -c 3000 /dev/urandom >noise.tsv
refused 3 'noise.tsv' train classify --set data.train=noise.tsv

# ---- Questions ----
# answers CODE CULPRIT: bad.json serves for nothing.
answers() {
    refused "$1" "$2" train answer --set data.train=bad.json
}
questions 'the cat sees the dog .' 'the cat sees ?' 'the king' 13 >bad.json
answers 3 'bad.json.*q1'
questions '' 'the cat sees ?' '' 0 >bad.json
answers 3 'bad.json'
head -c 80 squad.json >bad.json
answers 3 'bad.json'
sed 's/"context"/"contexts"/' squad.json >bad.json
answers 3 'bad.json.*context'
sed 's/"answer_start": 13/"answer_start": "13"/' squad.json >bad.json
answers 3 'bad.json.*answer_start'
echo '{"data": []}' >bad.json
answers 3 'bad.json'
refused 4 'absent.json' train answer --set data.train=absent.json
# What cannot be measured is refused before training.
sed 's/"answers": \[[^]]*\]/"answers": []/' squad.json >unanswered.json
refused 3 'unanswered.json: no question has an answer, so nothing can be measured' \
    train answer --set data.valid=unanswered.json
# A start that is wrong is corrected where the answer occurs.
questions 'the cat sees the dog .' 'the cat sees ?' 'the dog' 2 >moved.json
accepted train answer --set data.train=moved.json
# A question of any length is cut; one for which no window is left is refused.
questions 'the cat sees the dog .' "$(printf 'the cat %.0s' {1..60})?" 'the dog' 13 >long.json
accepted train answer --set data.train=long.json
stderr_has 'read data: 100%, questions longer than data.question_length 8 are cut: 1 of 1 in long.json$'
refused 2 'question_length' train answer --set data.question_length=22

# ---- One line in, one line out ----
echo 'the cat sees the dog .' >lines.txt
expect 0 "$pare" classify good lines.txt
expect_failure "$pare" classify good absent.txt
stderr_is_one_line
expect_failure "$pare" classify encoder lines.txt
stderr_is_one_line
expect_failure "$pare" classify answers lines.txt
stderr_is_one_line
rm -rf bad
cp -r good bad
rm bad/vocab.txt bad/tokenizer.json
expect_failure "$pare" classify bad lines.txt
stderr_is_one_line

# ---- Evaluation in bf16 ----
if [ "$(uname -m)" = x86_64 ]; then
    refused 7 'precision bf16 needs a CPU' \
        env PARE_ISA=x86-64-v2 "$pare" eval good --recipe classify.yaml --precision bf16
fi
if "$pare" eval good --recipe classify.yaml --precision bf16 >rounded 2>/dev/null; then
    expect 0 "$pare" eval good --recipe classify.yaml --precision fp32
    check "other products, another loss" \
        cmp_differs <(grep -o 'loss [0-9.]*' rounded) <(grep -o 'loss [0-9.]*' .stdout)
fi

# ---- Masks of other shapes, tasks of other heads ----
expect 0 "$pare" observe good --recipe classify.yaml --output good.average
expect 0 "$pare" observe good --recipe classify.yaml --ends-first --output ends.average
expect 0 "$pare" observe good --recipe classify.yaml --ends-first --merge ends.average \
    --output merged.average
refused 2 'cannot be merged' "$pare" observe good --recipe classify.yaml --merge ends.average
expect 0 "$pare" prune good.average --percent 50 --output good.mask
expect 0 "$pare" eval good --recipe classify.yaml --mask good.mask
head -c 300 good.mask >cut.mask
refused 3 'cut.mask' "$pare" eval good --recipe classify.yaml --mask cut.mask
expect_failure "$pare" eval good --recipe classify.yaml --mask good.average
stderr_is_one_line
sed 's/layers: 1/layers: 2/' pretrain.yaml >deeper.yaml
expect 0 "$pare" train deeper.yaml --output deeper
expect_failure "$pare" eval deeper --recipe pretrain.yaml --mask good.mask
stderr_is_one_line

# ---- Models and recipes that do not fit ----
write_recipe language.yaml text.txt
expect 0 "$pare" train language.yaml --output language --set training.steps=2
write_pairs pairs.source pairs.target
write_pairs_recipe translate.yaml pairs.source pairs.target
expect 0 "$pare" train translate.yaml --output translator --set training.steps=2
grep -v maximum_vocabulary translate.yaml | sed 's/^model.*/model: {checkpoint: translator}/' >continue.yaml
# Of each: its directory, its recipe, what it is, and the verb that is for it.
fits='encoder|pretrain|a model of masked words|eval
good|classify|a classifier|classify
answers|answer|a model that answers questions|answer
language|language|a language model|generate
translator|translate|a translation model|translate'
while IFS='|' read -r model own what verb; do
    while IFS='|' read -r _ recipe wanted other; do
        [ "$own" = "$recipe" ] && continue
        refused 2 "^pare eval: $model is $what, and $recipe.yaml is a recipe for [a-z-]+; name a model or" \
            "$pare" eval "$model" --recipe "$recipe.yaml"
        [ "$other" = eval ] && continue
        refused 2 "^pare $other: $model is $what, not $wanted; use 'pare $verb'" "$pare" "$other" "$model"
    done <<<"$fits"
done <<<"$fits"
# An average needs no head, but the passes over questions and masked words have one.
expect 0 "$pare" observe encoder --recipe classify.yaml --output encoder.average
refused 2 'no head for question answering' "$pare" observe good --recipe answer.yaml --output run
refused 2 'no head for masked words' "$pare" observe good --recipe pretrain.yaml --output run
refused 2 'translator is a translation model, and answer.yaml is a recipe for question-answering' \
    "$pare" observe translator --recipe answer.yaml --output run
refused 2 'good is a classifier, and language.yaml is a recipe for language-modelling' \
    "$pare" observe good --recipe language.yaml --output run
for checkpoint in language translator; do
    for recipe in adapt classify answer; do
        refused 2 "$checkpoint/config.json: a model of type \"[a-z-]+\" does not serve .*, which needs type \"bert\"" \
            train $recipe --set model.checkpoint=$checkpoint
    done
done
for checkpoint in encoder good language; do
    refused 2 "$checkpoint/config.json: .* does not serve translation, which needs type \"marian\"" \
        train continue --set model.checkpoint=$checkpoint
done
rm -rf headless && cp -r good headless
sed -i 's/BertForSequenceClassification/BertModel/' headless/config.json
refused 2 "headless is an encoder without a head, not a language model; train it on a task with 'pare" \
    "$pare" generate headless
refused 2 '--text is for language models, and good is a classifier; give --recipe' \
    "$pare" eval good --text text.txt
refused 2 '--text is for language models, and encoder is a model of masked words; give --recipe' \
    "$pare" observe encoder --text text.txt

finish
