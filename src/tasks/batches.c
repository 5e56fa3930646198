/* Dealing: put the examples in an order by a key, cut where a limit would be exceeded, and for
 * training shuffle the batches.
 *
 * With a token budget the key is the length under some noise, so that a batch holds examples of
 * nearly the same length, though not the same company in every epoch: calls on equal lengths share
 * their work evenly. Otherwise the key is noise alone, a plain shuffle. Ties are broken by random
 * bits and then by index, which makes the order a function of seed and epoch. */
#include "tasks/batches.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/safetensors.h"

/* Keys are length * (1 +- this), the usual width of such noise. */
#define LENGTH_NOISE 0.1

typedef struct sort_key {
    double length;
    uint64_t tie;
    size_t index;
} sort_key;

static int compare_keys(const void *a, const void *b)
{
    const sort_key *left = a, *right = b;
    if (left->length != right->length)
        return left->length < right->length ? -1 : 1;
    if (left->tie != right->tie)
        return left->tie < right->tie ? -1 : 1;
    return (left->index > right->index) - (left->index < right->index);
}

static pare_status allocate_deal(size_t count, pri_deal *deal)
{
    *deal = (pri_deal){.indices = pri_allocate(count, sizeof(size_t)),
                       .begins = pri_allocate_zero(count + 1, sizeof(size_t))};
    return deal->indices && deal->begins ? PARE_OK : PARE_ERROR_MEMORY;
}

void pri_deal_free(pri_deal *deal)
{
    pri_free(deal->indices);
    pri_free(deal->begins);
    *deal = (pri_deal){0};
}

/* Sorts the keys and fills the deal with batches within the limits. */
static void cut_batches(const pri_dealing *dealing, const size_t *lengths, sort_key *keys,
                        size_t count, pri_deal *deal)
{
    qsort(keys, count, sizeof *keys, compare_keys);
    deal->batches = 0;
    size_t examples = 0, tokens = 0;
    for (size_t i = 0; i < count; i++) {
        size_t length = lengths[keys[i].index];
        bool full = (dealing->examples && examples == dealing->examples) ||
                    (dealing->tokens && tokens + length > dealing->tokens);
        if (full && examples) {
            deal->begins[++deal->batches] = i;
            examples = tokens = 0;
        }
        deal->indices[i] = keys[i].index;
        examples++;
        tokens += length;
    }
    if (count)
        deal->begins[++deal->batches] = count;
}

pare_status pri_deal_by_length(const pri_dealing *dealing, const size_t *lengths, size_t count,
                               pri_deal *deal)
{
    PRI_TRY(allocate_deal(count, deal));
    sort_key *keys = pri_allocate(count, sizeof *keys);
    if (!keys)
        return PARE_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        keys[i] = (sort_key){.length = (double)lengths[i], .index = i};
    cut_batches(dealing, lengths, keys, count, deal);
    pri_free(keys);
    return PARE_OK;
}

/* ---- The dealer ---- */

/* One epoch: batches are handed out in the order of `turns`. */
typedef struct epoch_deal {
    uint64_t epoch;
    pri_deal deal;
    size_t *turns; /* (batches) */
} epoch_deal;

struct pri_dealer {
    pri_dealing dealing;
    size_t count;
    size_t *lengths;
    sort_key *keys; /* room to sort in */
    epoch_deal current;
    uint64_t batch;          /* of the current epoch, to come next */
    uint64_t batches;        /* of the first epoch */
    uint64_t tokens;         /* of every epoch */
    epoch_deal counted;      /* where pri_dealer_tokens was last */
    uint64_t counted_before; /* batches of all epochs before `counted` */
};

static void fill_keys(pri_dealer *dealer, uint64_t epoch)
{
    uint64_t key = pri_random_key(dealer->dealing.seed, "deal", epoch);
    bool by_length = dealer->dealing.tokens && dealer->dealing.examples != 1;
    for (size_t i = 0; i < dealer->count; i++) {
        double noise = LENGTH_NOISE * (2 * pri_random_uniform(key, 2 * i) - 1);
        dealer->keys[i] =
            (sort_key){.length = by_length ? (double)dealer->lengths[i] * (1 + noise) : 0,
                       .tie = pri_random_bits(key, 2 * i + 1),
                       .index = i};
    }
}

/* Fisher and Yates. */
static void shuffle(uint64_t key, size_t *items, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)pri_random_below(key, i, i);
        size_t item = items[i - 1];
        items[i - 1] = items[other];
        items[other] = item;
    }
}

static void deal_epoch(pri_dealer *dealer, uint64_t epoch, epoch_deal *dealt)
{
    fill_keys(dealer, epoch);
    cut_batches(&dealer->dealing, dealer->lengths, dealer->keys, dealer->count, &dealt->deal);
    for (size_t i = 0; i < dealt->deal.batches; i++)
        dealt->turns[i] = i;
    shuffle(pri_random_key(dealer->dealing.seed, "batches", epoch), dealt->turns,
            dealt->deal.batches);
    dealt->epoch = epoch;
}

static pare_status allocate_epoch(size_t count, epoch_deal *dealt)
{
    PRI_TRY(allocate_deal(count, &dealt->deal));
    dealt->turns = pri_allocate(count, sizeof *dealt->turns);
    return dealt->turns ? PARE_OK : PARE_ERROR_MEMORY;
}

static pare_status fill_dealer(pri_dealer *dealer, const size_t *lengths)
{
    dealer->lengths = pri_allocate(dealer->count, sizeof *dealer->lengths);
    dealer->keys = pri_allocate(dealer->count, sizeof *dealer->keys);
    if (!dealer->lengths || !dealer->keys)
        return PARE_ERROR_MEMORY;
    PRI_TRY(allocate_epoch(dealer->count, &dealer->current));
    PRI_TRY(allocate_epoch(dealer->count, &dealer->counted));
    memcpy(dealer->lengths, lengths, dealer->count * sizeof *lengths);
    for (size_t i = 0; i < dealer->count; i++)
        dealer->tokens += lengths[i];
    deal_epoch(dealer, 0, &dealer->current);
    deal_epoch(dealer, 0, &dealer->counted);
    dealer->batches = dealer->current.deal.batches;
    return PARE_OK;
}

pare_status pri_dealer_create(const pri_dealing *dealing, const size_t *lengths, size_t count,
                              pri_dealer **dealer)
{
    *dealer = NULL;
    if (!count)
        return pri_fail(PARE_ERROR_ARGUMENT, "there are no examples to make batches of");
    pri_dealer *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->dealing = *dealing;
    created->count = count;
    pare_status status = fill_dealer(created, lengths);
    if (status != PARE_OK) {
        pri_dealer_destroy(created);
        return status;
    }
    *dealer = created;
    return PARE_OK;
}

static void free_epoch(epoch_deal *dealt)
{
    pri_deal_free(&dealt->deal);
    pri_free(dealt->turns);
}

void pri_dealer_destroy(pri_dealer *dealer)
{
    if (!dealer)
        return;
    free_epoch(&dealer->current);
    free_epoch(&dealer->counted);
    pri_free(dealer->lengths);
    pri_free(dealer->keys);
    pri_free(dealer);
}

void pri_dealer_next(pri_dealer *dealer, const size_t **indices, size_t *count)
{
    if (dealer->batch == dealer->current.deal.batches) {
        deal_epoch(dealer, dealer->current.epoch + 1, &dealer->current);
        dealer->batch = 0;
    }
    const pri_deal *deal = &dealer->current.deal;
    size_t turn = dealer->current.turns[dealer->batch++];
    *indices = deal->indices + deal->begins[turn];
    *count = deal->begins[turn + 1] - deal->begins[turn];
}

uint64_t pri_dealer_batches(const pri_dealer *dealer)
{
    return dealer->batches;
}

static uint64_t count_tokens(const pri_dealer *dealer, const epoch_deal *dealt, size_t batches)
{
    uint64_t tokens = 0;
    for (size_t i = 0; i < batches; i++) {
        size_t turn = dealt->turns[i];
        for (size_t j = dealt->deal.begins[turn]; j < dealt->deal.begins[turn + 1]; j++)
            tokens += dealer->lengths[dealt->deal.indices[j]];
    }
    return tokens;
}

/* How many batches an epoch has is only known once it is dealt. Questions usually come in rising
 * order, and then go on from the epoch of the last one. */
uint64_t pri_dealer_tokens(pri_dealer *dealer, uint64_t batches)
{
    epoch_deal *counted = &dealer->counted;
    if (batches < dealer->counted_before) {
        dealer->counted_before = 0;
        deal_epoch(dealer, 0, counted);
    }
    while (batches - dealer->counted_before > counted->deal.batches) {
        dealer->counted_before += counted->deal.batches;
        deal_epoch(dealer, counted->epoch + 1, counted);
    }
    return counted->epoch * dealer->tokens +
           count_tokens(dealer, counted, (size_t)(batches - dealer->counted_before));
}

/* ---- Position ---- */

/* The end of an epoch is the beginning of the next. */
pri_dealer_position pri_dealer_tell(const pri_dealer *dealer)
{
    if (dealer->batch == dealer->current.deal.batches)
        return (pri_dealer_position){.epoch = dealer->current.epoch + 1};
    return (pri_dealer_position){.epoch = dealer->current.epoch, .batch = dealer->batch};
}

bool pri_dealer_seek(pri_dealer *dealer, pri_dealer_position position)
{
    uint64_t epoch = dealer->current.epoch;
    if (position.epoch != epoch)
        deal_epoch(dealer, position.epoch, &dealer->current);
    if (position.batch >= dealer->current.deal.batches) {
        deal_epoch(dealer, epoch, &dealer->current);
        return false;
    }
    dealer->batch = position.batch;
    return true;
}

void pri_dealer_rewind(pri_dealer *dealer)
{
    if (dealer->current.epoch)
        deal_epoch(dealer, 0, &dealer->current);
    dealer->batch = 0;
}

/* ---- Files ---- */

enum { POSITION_EPOCH, POSITION_BATCH, POSITION_SIZE };
enum { DATA_HASH, DATA_COUNT, DATA_EXAMPLES, DATA_TOKENS, DATA_SEED, DATA_SIZE };

static void describe_data(const pri_dealer *dealer, uint64_t hash, uint64_t data[DATA_SIZE])
{
    data[DATA_HASH] = hash;
    data[DATA_COUNT] = dealer->count;
    data[DATA_EXAMPLES] = dealer->dealing.examples;
    data[DATA_TOKENS] = dealer->dealing.tokens;
    data[DATA_SEED] = dealer->dealing.seed;
}

pare_status pri_dealer_save(const pri_dealer *dealer, uint64_t data, const char *path)
{
    uint64_t description[DATA_SIZE];
    describe_data(dealer, data, description);
    pri_dealer_position at = pri_dealer_tell(dealer);
    const uint64_t position[POSITION_SIZE] = {at.epoch, at.batch};
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    if (!writer)
        return PARE_ERROR_MEMORY;
    pri_safetensors_writer_add(writer, "data", PRI_DATA_U64, 1, (size_t[]){DATA_SIZE}, description);
    pri_safetensors_writer_add(writer, "position", PRI_DATA_U64, 1, (size_t[]){POSITION_SIZE},
                               position);
    pare_status status = pri_safetensors_writer_save(writer, path);
    pri_safetensors_writer_destroy(writer);
    return status;
}

static pare_status read_position(const pri_safetensors *file, const pri_dealer *dealer,
                                 uint64_t data, uint64_t position[POSITION_SIZE])
{
    const pri_stored_tensor *tensor;
    PRI_TRY(pri_safetensors_get(file, "data", PRI_DATA_U64, 1, (size_t[]){DATA_SIZE}, &tensor));
    uint64_t description[DATA_SIZE];
    describe_data(dealer, data, description);
    if (memcmp(description, tensor->data, sizeof description))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "%s: saved while training on other data, batches or seed; use the options "
                        "of that run, or another directory",
                        pri_safetensors_name(file));
    PRI_TRY(
        pri_safetensors_get(file, "position", PRI_DATA_U64, 1, (size_t[]){POSITION_SIZE}, &tensor));
    memcpy(position, tensor->data, POSITION_SIZE * sizeof *position);
    return PARE_OK;
}

pare_status pri_dealer_load(pri_dealer *dealer, uint64_t data, const char *path)
{
    pri_safetensors *file;
    PRI_TRY(pri_safetensors_open(path, &file));
    uint64_t position[POSITION_SIZE] = {0};
    pare_status status = read_position(file, dealer, data, position);
    pri_safetensors_close(file);
    PRI_TRY(status);
    if (pri_dealer_seek(dealer, (pri_dealer_position){.epoch = position[POSITION_EPOCH],
                                                      .batch = position[POSITION_BATCH]}))
        return PARE_OK;
    return pri_fail(PARE_ERROR_FORMAT, "%s: batch %llu of epoch %llu, which has fewer", path,
                    (unsigned long long)position[POSITION_BATCH],
                    (unsigned long long)position[POSITION_EPOCH]);
}
