/* The masks of `pare bench attention`: drawn ones, the same in every run, and learned ones. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench_attention.h"
#include "command.h"

#define BLOCK_CELLS 16

const char *const family_names[] = {"random", "band", "stripes", "block", "learned", NULL};

double admissible_cells(const bench_shape *shape)
{
    double cells = 0;
    for (size_t row = 0; row < shape->queries; row++) {
        size_t reach = shape->causal ? row + shape->keys - shape->queries + 1 : shape->keys;
        cells += (double)(shape->window && shape->window < reach ? shape->window : reach);
    }
    return cells * (double)shape->heads;
}

/* ---- Drawn masks ---- */

/* Uniform on [0, 1): a hash of the number of a cell, stripe or block. */
static double uniform(uint64_t index)
{
    uint64_t x = (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The threshold that keeps `share` of the first `count` numbers: stripes and blocks are few, and
 * keeping each with some probability would miss the density. NaN: no memory. */
static double exact_threshold(size_t count, double share)
{
    double *draws = malloc((count + 1) * sizeof *draws);
    if (!draws)
        return NAN;
    for (size_t i = 0; i < count; i++)
        draws[i] = uniform(i);
    qsort(draws, count, sizeof *draws, compare_doubles);
    draws[count] = 1;
    double threshold = draws[(size_t)lround(share * (double)count)];
    free(draws);
    return threshold;
}

static size_t blocks_along(size_t cells)
{
    return (cells + BLOCK_CELLS - 1) / BLOCK_CELLS;
}

static double threshold_of(const bench_point *point)
{
    const bench_shape *s = &point->shape;
    if (point->family == FAMILY_STRIPES)
        return exact_threshold(s->heads * s->keys, point->density);
    if (point->family == FAMILY_BLOCK)
        return exact_threshold(s->heads * blocks_along(s->queries) * blocks_along(s->keys),
                               point->density);
    return point->density;
}

static void fill_band(const bench_point *point, size_t row, uint8_t *fill)
{
    const bench_shape *s = &point->shape;
    size_t reach = s->causal ? row + s->keys - s->queries + 1 : s->keys;
    size_t width = (size_t)lround(point->density * (double)reach);
    size_t begin = reach - width;
    if (!s->causal) {
        size_t centre = s->queries > 1 ? row * (s->keys - 1) / (s->queries - 1) : 0;
        begin = centre > width / 2 ? centre - width / 2 : 0;
        begin = begin + width > reach ? reach - width : begin;
    }
    memset(fill, 0, s->keys);
    memset(fill + begin, 1, width);
}

static void fill_learned(const bench_point *point, size_t head, size_t row, uint8_t *fill)
{
    const pare_mask *mask = point->learned->mask;
    size_t heads = pare_mask_geometry(mask)->heads;
    for (size_t column = 0; column < point->shape.keys; column++)
        fill[column] = pare_mask_kept(mask, head / heads, head % heads, row, column);
}

void mask_row(void *user, size_t head, size_t row, uint8_t *fill)
{
    mask_maker *maker = user;
    const bench_shape *s = &maker->point->shape;
    double start = seconds_now();
    size_t first = 0;
    switch (maker->point->family) {
    case FAMILY_BAND:
        fill_band(maker->point, row, fill);
        break;
    case FAMILY_LEARNED:
        fill_learned(maker->point, head, row, fill);
        break;
    case FAMILY_STRIPES:
        for (size_t column = 0; column < s->keys; column++)
            fill[column] = uniform(head * s->keys + column) < maker->threshold;
        break;
    case FAMILY_BLOCK:
        first = (head * blocks_along(s->queries) + row / BLOCK_CELLS) * blocks_along(s->keys);
        for (size_t column = 0; column < s->keys; column += BLOCK_CELLS) {
            size_t width = s->keys - column < BLOCK_CELLS ? s->keys - column : BLOCK_CELLS;
            memset(fill + column, uniform(first + column / BLOCK_CELLS) < maker->threshold, width);
        }
        break;
    default:
        first = (head * s->queries + row) * s->keys;
        for (size_t column = 0; column < s->keys; column++)
            fill[column] = uniform(first + column) < maker->threshold;
    }
    maker->seconds += seconds_now() - start;
}

pare_status mask_maker_open(const bench_point *point, mask_maker *maker)
{
    *maker = (mask_maker){.point = point, .threshold = threshold_of(point)};
    return isnan(maker->threshold) ? PARE_ERROR_MEMORY : PARE_OK;
}

pare_status create_plan(const bench_point *point, pare_plan **plan, double *seconds)
{
    const bench_shape *s = &point->shape;
    pare_plan_geometry geometry = {s->heads, s->queries, s->keys, s->causal};
    mask_maker maker;
    *plan = NULL;
    pare_status status = mask_maker_open(point, &maker);
    if (status != PARE_OK)
        return status;
    double start = seconds_now();
    status = pare_plan_create(&geometry, mask_row, &maker, plan);
    *seconds = seconds_now() - start - maker.seconds;
    return status;
}

/* ---- Learned masks ---- */

#define ENDING ".safetensors"

static bool is_directory(const char *path)
{
    struct stat information;
    return !stat(path, &information) && S_ISDIR(information.st_mode);
}

bool find_learned_directory(char *path, size_t capacity)
{
    /* Installed: PREFIX/bin and PREFIX/share. In the tree: build/pare and bench/masks. */
    static const char *const places[] = {"../share/pare/masks", "../bench/masks"};
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return false;
    program[length] = 0;
    *strrchr(program, '/') = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int used = snprintf(path, capacity, "%s/%s", program, places[i]);
        if (used > 0 && (size_t)used < capacity && is_directory(path))
            return true;
    }
    return false;
}

static int is_mask_file(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name), ending = strlen(ENDING);
    return length > ending && !strcmp(entry->d_name + length - ending, ENDING);
}

static int load_one(const char *verb, const char *directory, const char *file, learned_set *set)
{
    char path[PATH_MAX];
    if (set->count == LEARNED_MAX)
        return fail_usage(verb, "'%s' holds more than %d masks", directory, LEARNED_MAX);
    snprintf(path, sizeof path, "%s/%s", directory, file);
    learned_mask *learned = &set->masks[set->count];
    pare_status status = pare_mask_load(path, &learned->mask);
    if (status != PARE_OK)
        return fail(verb, status);
    snprintf(learned->name, sizeof learned->name, "%.*s", (int)(strlen(file) - strlen(ENDING)),
             file);
    set->count++;
    return PARE_OK;
}

int load_learned(const char *verb, const char *directory, learned_set *set)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, is_mask_file, alphasort);
    if (count < 0) {
        fprintf(stderr, "pare %s: cannot read the directory '%s' (%s)\n", verb, directory,
                strerror(errno));
        return PARE_ERROR_FILE;
    }
    int exit_code = PARE_OK;
    for (int i = 0; i < count; i++) {
        if (exit_code == PARE_OK)
            exit_code = load_one(verb, directory, entries[i]->d_name, set);
        free(entries[i]);
    }
    free(entries);
    if (exit_code != PARE_OK || set->count)
        return exit_code;
    fprintf(stderr, "pare %s: '%s' holds no mask; put files there that `pare prune` wrote\n", verb,
            directory);
    return PARE_ERROR_FILE;
}

void release_learned(learned_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        pare_mask_destroy(set->masks[i].mask);
}
