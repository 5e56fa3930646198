/* Candidates, open and final hypotheses of one sentence: beam_search.h, and pare/model.h for the
 * rules. Everything here is a few numbers per hypothesis and step, so nothing is shared among
 * threads. */
#include "models/beam_search.h"

#include <math.h>

#include "base/arithmetic.h"

/* ---- The tree ---- */

void pri_tree_release(pri_tree *tree)
{
    pri_free(tree->nodes);
}

static pare_status extend_tree(pri_tree *tree)
{
    size_t capacity = pri_larger(1024, 2 * tree->capacity);
    pri_node *grown = pri_reallocate(tree->nodes, tree->capacity, capacity, sizeof *grown);
    if (!grown)
        return PARE_ERROR_MEMORY;
    tree->nodes = grown;
    tree->capacity = capacity;
    return PARE_OK;
}

static pare_status take_node(pri_tree *tree, uint32_t *index)
{
    *index = tree->free;
    if (*index != PRI_NO_NODE) {
        tree->free = tree->nodes[*index].next;
        return PARE_OK;
    }
    if (tree->count == tree->capacity)
        PRI_TRY(extend_tree(tree));
    *index = (uint32_t)tree->count++;
    return PARE_OK;
}

/* A node of the sentence; PRI_NO_NODE as parent makes a root. */
static pare_status add_node(pri_search *search, pri_tree *tree, uint32_t parent, uint32_t token,
                            float log_probability, uint32_t *index)
{
    PRI_TRY(take_node(tree, index));
    tree->nodes[*index] = (pri_node){.parent = parent == PRI_NO_NODE ? *index : parent,
                                     .token = token,
                                     .next = search->nodes,
                                     .log_probability = log_probability};
    search->nodes = *index;
    return PARE_OK;
}

void pri_search_end(pri_search *search, pri_tree *tree)
{
    while (search->nodes != PRI_NO_NODE) {
        uint32_t node = search->nodes;
        search->nodes = tree->nodes[node].next;
        tree->nodes[node].next = tree->free;
        tree->free = node;
    }
}

/* ---- A search ---- */

/* Open hypothesis `from` extended by `token`. */
typedef struct pri_continuation {
    size_t from;
    uint32_t token;
    float log_probability; /* of the token */
    double sum;
} pri_continuation;

/* The best continuation of a hypothesis that is not taken yet. */
typedef struct pri_head {
    pri_continuation best;
    size_t next; /* of the hypothesis's words */
} pri_head;

pare_status pri_search_allocate(pri_arena *arena, const pare_translate_options *options,
                                pri_search *search)
{
    size_t beam = options->beam;
    *search = (pri_search){
        .options = options,
        .nodes = PRI_NO_NODE,
        .open = pri_arena_allocate(arena, beam, sizeof *search->open),
        .next_open = pri_arena_allocate(arena, beam, sizeof *search->next_open),
        .final = pri_arena_allocate(arena, beam, sizeof *search->final),
        .candidates = pri_arena_allocate(arena, 2 * beam, sizeof *search->candidates),
        .heads = pri_arena_allocate(arena, beam, sizeof *search->heads),
    };
    bool complete =
        search->open && search->next_open && search->final && search->candidates && search->heads;
    return complete ? PARE_OK : PARE_ERROR_MEMORY;
}

pare_status pri_search_begin(pri_search *search, pri_tree *tree, uint32_t start)
{
    search->length = search->final_count = 0;
    search->open_count = 1;
    search->open[0] = (pri_open_hypothesis){0};
    return add_node(search, tree, PRI_NO_NODE, start, 0.0f, &search->open[0].node);
}

void pri_search_rows(const pri_search *search, const pri_tree *tree, uint32_t *slots,
                     pri_decoder_row *rows)
{
    for (size_t i = 0; i < search->open_count; i++) {
        uint32_t node = search->open[i].node;
        rows[i] = (pri_decoder_row){.token = tree->nodes[node].token,
                                    .position = search->length,
                                    .slots = slots,
                                    .source = &search->source};
        for (size_t position = search->length + 1; position-- > 0;) {
            slots[position] = node;
            node = tree->nodes[node].parent;
        }
        slots += search->length + 1;
    }
}

/* ---- Candidates ---- */

static pri_continuation continuation_of(const pri_search *search, size_t from, uint32_t token,
                                        float log_probability)
{
    return (pri_continuation){from, token, log_probability,
                              search->open[from].log_probability + (double)log_probability};
}

/* Of equal ones that of the earlier hypothesis first. */
static bool comes_first(const pri_continuation *a, const pri_continuation *b)
{
    return a->sum > b->sum || (a->sum == b->sum && a->from < b->from);
}

/* Restores the heap, the first on top, after the head at `place` became a later one. */
static void sink(pri_head *heap, size_t count, size_t place)
{
    pri_head moved = heap[place];
    for (size_t child; (child = 2 * place + 1) < count; place = child) {
        if (child + 1 < count && comes_first(&heap[child + 1].best, &heap[child].best))
            child++;
        if (!comes_first(&heap[child].best, &moved.best))
            break;
        heap[place] = heap[child];
    }
    heap[place] = moved;
}

static bool is_possible(const pri_head *head)
{
    return head->best.sum > -INFINITY;
}

/* On to the hypothesis's next word; false when none is left that is possible. */
static bool move_head(const pri_search *search, const pri_decoder_result *results, size_t from,
                      pri_head *head)
{
    const pri_decoder_result *result = &results[from];
    if (head->next == result->best.count)
        return false;
    pri_word word = result->best.words[head->next++];
    head->best = continuation_of(search, from, word.word, word.logit - result->log_sum);
    return is_possible(head);
}

/* Words of a hypothesis are in order, so the best of all come of merging: whatever follows a head
 * is looked at only once that is taken. Returns their number. */
static size_t merge(pri_search *search, const pri_decoder_result *results, size_t heads)
{
    pri_head *heap = search->heads;
    size_t count = 0;
    for (size_t place = heads / 2; place-- > 0;)
        sink(heap, heads, place);
    while (heads && count < 2 * search->options->beam) {
        search->candidates[count++] = heap->best;
        if (!move_head(search, results, heap->best.from, heap))
            *heap = heap[--heads];
        sink(heap, heads, 0);
    }
    return count;
}

/* The best of all continuations. */
static size_t find_candidates(pri_search *search, const pri_decoder_result *results)
{
    size_t heads = 0;
    for (size_t from = 0; from < search->open_count; from++) {
        search->heads[heads].next = 0;
        heads += move_head(search, results, from, &search->heads[heads]);
    }
    return merge(search, results, heads);
}

/* At the limit: every open hypothesis by one token, which nothing follows. */
static size_t find_ends(pri_search *search, const pri_search_ending *ending,
                        const pri_decoder_result *results)
{
    size_t heads = 0;
    for (size_t from = 0; from < search->open_count; from++) {
        float own = results[from].end - results[from].log_sum;
        pri_head *head = &search->heads[heads];
        head->best = continuation_of(search, from, ending->last, ending->is_free ? 0.0f : own);
        head->next = results[from].best.count;
        heads += is_possible(head);
    }
    return merge(search, results, heads);
}

/* ---- Going on ---- */

static double score_of(const pri_search *search, double log_probability, size_t length)
{
    return log_probability / pow((double)length, search->options->length_penalty);
}

/* Among the `beam` best, of equal ones the earlier first. */
static void add_final(pri_search *search, pri_continuation candidate)
{
    pri_final_hypothesis added = {
        .node = search->open[candidate.from].node,
        .last = candidate.token,
        .last_log_probability = candidate.log_probability,
        .length = search->length + 1,
        .log_probability = candidate.sum,
        .score = score_of(search, candidate.sum, search->length + 1),
    };
    bool full = search->final_count == search->options->beam;
    if (full && !(added.score > search->final[search->final_count - 1].score))
        return;
    size_t place = full ? search->final_count - 1 : search->final_count++;
    for (; place && search->final[place - 1].score < added.score; place--)
        search->final[place] = search->final[place - 1];
    search->final[place] = added;
}

static pare_status add_open(pri_search *search, pri_tree *tree, pri_continuation candidate,
                            size_t *count)
{
    pri_open_hypothesis *added = &search->next_open[*count];
    added->log_probability = candidate.sum;
    PRI_TRY(add_node(search, tree, search->open[candidate.from].node, candidate.token,
                     candidate.log_probability, &added->node));
    ++*count;
    return PARE_OK;
}

static pare_status check_numbers(const pri_search *search, const pri_decoder_result *results)
{
    for (size_t i = 0; i < search->open_count; i++)
        if (!isfinite(results[i].log_sum))
            return pri_fail(PARE_ERROR_NUMERIC,
                            "sentence %zu: the model gives logits that are not numbers; its "
                            "weights may be damaged",
                            search->sentence);
    return PARE_OK;
}

pare_status pri_search_advance(pri_search *search, pri_tree *tree, const pri_search_ending *ending,
                               const pri_decoder_result *results)
{
    PRI_TRY(check_numbers(search, results));
    size_t beam = search->options->beam, next_count = 0;
    bool last = search->length + 1 == search->limit;
    size_t count = last && !ending->is_cut ? find_ends(search, ending, results)
                                           : find_candidates(search, results);
    for (size_t i = 0; i < count; i++) {
        pri_continuation candidate = search->candidates[i];
        bool is_final = last || candidate.token == ending->token;
        if (is_final && i < beam)
            add_final(search, candidate);
        else if (!is_final && next_count < beam)
            PRI_TRY(add_open(search, tree, candidate, &next_count));
    }
    pri_open_hypothesis *spent = search->open;
    search->open = search->next_open;
    search->next_open = spent;
    search->open_count = next_count;
    search->length++;
    return PARE_OK;
}

bool pri_search_done(const pri_search *search)
{
    if (!search->open_count)
        return true;
    if (search->final_count < search->options->beam)
        return false;
    double best = score_of(search, search->open[0].log_probability, search->length);
    return search->options->stop == PARE_STOP_FULL ||
           !(best > search->final[search->final_count - 1].score);
}

void pri_search_write(const pri_final_hypothesis *hypothesis, const pri_tree *tree,
                      uint32_t *tokens, float *log_probabilities)
{
    size_t last = hypothesis->length - 1;
    tokens[last] = hypothesis->last;
    log_probabilities[last] = hypothesis->last_log_probability;
    uint32_t node = hypothesis->node;
    for (size_t i = last; i-- > 0; node = tree->nodes[node].parent) {
        tokens[i] = tree->nodes[node].token;
        log_probabilities[i] = tree->nodes[node].log_probability;
    }
}
