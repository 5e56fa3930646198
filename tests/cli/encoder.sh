# shellcheck shell=bash
# A BERT directory whose weights are written down here, for shell tests; source it before
# library.sh.
# One layer of uniform attention over vectors of four numbers: "good" and "bad" are opposites, all
# other words nothing.
#
#     write_classifier DIRECTORY LABELS WEIGHTS NAMES    of all words together
#     write_answerer DIRECTORY                           every word for itself: "good" is the answer
positions=16

# Numbers as fp32: "+", "-" and "0" for 1, -1 and 0.
write_numbers() {
    local i
    for ((i = 0; i < ${#1}; i++)); do
        case ${1:i:1} in
        +) printf '\000\000\200\077' ;;
        -) printf '\000\000\200\277' ;;
        0) printf '\000\000\000\000' ;;
        esac
    done
}

# add_tensor NAME SHAPE NUMBERS
add_tensor() {
    local begin
    begin=$(wc -c <tensors)
    write_numbers "$3" >>tensors
    header+="${header:+,}\"$1\":{\"dtype\":\"F32\",\"shape\":[$2],\"data_offsets\":[$begin,$(wc -c <tensors)]}"
}

zeros() {
    head -c "$1" /dev/zero | tr '\0' 0
}

identity=+0000+0000+0000+

# add_encoder VALUES: the weights of what attention averages.
add_encoder() {
    local part
    header=
    : >tensors
    add_tensor bert.embeddings.word_embeddings.weight 10,4 "$(zeros 20)+-00-+00$(zeros 12)"
    add_tensor bert.embeddings.position_embeddings.weight $positions,4 "$(zeros $((4 * positions)))"
    add_tensor bert.embeddings.token_type_embeddings.weight 2,4 "$(zeros 8)"
    add_tensor bert.embeddings.LayerNorm.weight 4 ++++
    add_tensor bert.embeddings.LayerNorm.bias 4 0000
    for part in query key; do
        add_tensor bert.encoder.layer.0.attention.self.$part.weight 4,4 "$(zeros 16)"
        add_tensor bert.encoder.layer.0.attention.self.$part.bias 4 0000
    done
    add_tensor bert.encoder.layer.0.attention.self.value.weight 4,4 "$1"
    add_tensor bert.encoder.layer.0.attention.self.value.bias 4 0000
    add_tensor bert.encoder.layer.0.attention.output.dense.weight 4,4 $identity
    add_tensor bert.encoder.layer.0.attention.output.dense.bias 4 0000
    for part in intermediate.dense output.dense; do
        add_tensor bert.encoder.layer.0.$part.weight 4,4 "$(zeros 16)"
        add_tensor bert.encoder.layer.0.$part.bias 4 0000
    done
    for part in attention.output.LayerNorm output.LayerNorm; do
        add_tensor bert.encoder.layer.0.$part.weight 4 ++++
        add_tensor bert.encoder.layer.0.$part.bias 4 0000
    done
}

# save_weights DIRECTORY
save_weights() {
    header="{$header}"
    while [ $((${#header} % 8)) -ne 0 ]; do header+=' '; done
    {
        # The length of the header as 8 bytes, little-endian.
        # shellcheck disable=SC2059
        printf "\\$(printf %03o $((${#header} % 256)))\\$(printf %03o $((${#header} / 256)))"
        printf '\000\000\000\000\000\000%s' "$header"
        cat tensors
    } >"$1/model.safetensors"
}


# write_files DIRECTORY ARCHITECTURE LABELS
write_files() {
    printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' good bad film a '##s' >"$1/vocab.txt"
    cat >"$1/config.json" <<END
{"model_type": "bert", "architectures": ["$2"], "vocab_size": 10,
 "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 4,
 "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
 "max_position_embeddings": $positions, "type_vocab_size": 2, "initializer_range": 0.02,
 "layer_norm_eps": 1e-12, "id2label": {$3}}
END
}

write_classifier() {
    mkdir "$1"
    add_encoder $identity
    add_tensor bert.pooler.dense.weight 4,4 $identity
    add_tensor bert.pooler.dense.bias 4 0000
    add_tensor classifier.weight "$2,4" "$3"
    add_tensor classifier.bias "$2" "$(zeros "$2")"
    save_weights "$1"
    write_files "$1" BertForSequenceClassification "$4"
}

write_answerer() {
    mkdir "$1"
    add_encoder "$(zeros 16)"
    add_tensor qa_outputs.weight 2,4 +000+000
    add_tensor qa_outputs.bias 2 00
    save_weights "$1"
    write_files "$1" BertForQuestionAnswering '"0": "LABEL_0", "1": "LABEL_1"'
}
