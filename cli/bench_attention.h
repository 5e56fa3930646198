/* The parts of `pare bench attention`: which points are measured (bench_grid.c), where their masks
 * keep cells (bench_masks.c), how long calls take (bench_measure.c), and what is written about it
 * (bench_output.c). */
#ifndef PARE_CLI_BENCH_ATTENTION_H
#define PARE_CLI_BENCH_ATTENTION_H

#include "bench_shared.h"

/* ---- Masks ---- */

typedef enum mask_family {
    FAMILY_RANDOM,  /* every cell on its own */
    FAMILY_BAND,    /* around the diagonal; causal: the newest keys */
    FAMILY_STRIPES, /* whole columns */
    FAMILY_BLOCK,   /* squares of 16 x 16 cells */
    FAMILY_LEARNED, /* from files that `pare prune` wrote */
    FAMILY_COUNT
} mask_family;
extern const char *const family_names[];

typedef struct learned_mask {
    char name[128]; /* of the file, without its ending */
    pare_mask *mask;
} learned_mask;

#define LEARNED_MAX 32
typedef struct learned_set {
    learned_mask masks[LEARNED_MAX];
    size_t count;
} learned_set;

/* The directory of the masks that come with Pare: beside this program, or in the tree it was built
 * in. Returns false when there is none. */
bool find_learned_directory(char *path, size_t capacity);
/* Loads every mask of a directory, in the order of their names. Returns an exit code, other than 0
 * with a message already printed. */
int load_learned(const char *verb, const char *directory, learned_set *set);
void release_learned(learned_set *set);

/* ---- Points ---- */

typedef struct bench_shape {
    size_t heads, head_size, queries, keys, window; /* as in pare_attention */
    bool causal, relative;
    pare_precision precision; /* of pruned calls; dense ones are fp32 */
} bench_shape;

#define DEFAULT_LEVEL (-1) /* the best one, or that of PARE_ISA */
typedef struct bench_point {
    bench_shape shape;
    int threads; /* 0: all cores */
    int level;   /* a pare_level or DEFAULT_LEVEL */
    mask_family family;
    double density;              /* share of cells to keep, 0 .. 1; learned: as in the file */
    const learned_mask *learned; /* NULL for the other families */
} bench_point;

typedef struct bench_grid {
    bench_point *points; /* points of one context and shape are neighbours */
    size_t count, capacity;
} bench_grid;

/* Every combination is a point. Learned masks bring heads, shape and density of their own; they
 * take part when their keys are among the lengths, or always when `any_learned`. */
typedef struct bench_axes {
    number_list families, densities, lengths, head_sizes, threads, levels;
    size_t heads;
    bool causal, relative, any_learned;
} bench_axes;

bool grid_add(bench_grid *grid, const bench_axes *axes, const learned_set *learned);
/* The most telling points, in less than a minute on two cores; or everything, in hours. */
bool grid_add_default(bench_grid *grid, size_t heads, const learned_set *learned);
bool grid_add_full(bench_grid *grid, size_t heads, const learned_set *learned);
/* Makes points of one context and shape neighbours. */
void grid_sort(bench_grid *grid);
void grid_free(bench_grid *grid);
bool same_context(const bench_point *a, const bench_point *b);
bool same_shape(const bench_shape *a, const bench_shape *b);

double admissible_cells(const bench_shape *shape); /* over all heads */

/* Says which cells a point keeps: a pare_plan_row, given a mask_maker. */
typedef struct mask_maker {
    const bench_point *point;
    double threshold; /* what is drawn below it is kept */
    double seconds;   /* spent here */
} mask_maker;
pare_status mask_maker_open(const bench_point *point, mask_maker *maker);
void mask_row(void *maker, size_t head, size_t row, uint8_t *fill);

/* Compiles the point's mask; *seconds is the time of that alone, without that of saying which cells
 * are kept. */
pare_status create_plan(const bench_point *point, pare_plan **plan, double *seconds);

/* ---- Measuring ---- */

typedef struct quartiles {
    double low, middle, high;
} quartiles;

enum { PASS_FORWARD, PASS_BOTH, PASS_COUNT };
extern const char *const pass_names[PASS_COUNT];

typedef struct bench_result {
    pare_plan_summary plan;
    double plan_seconds; /* without the time of saying which cells are kept */
    size_t workspace_bytes, dense_workspace_bytes;
    struct pass_result {
        quartiles dense, pruned, ratio; /* seconds of one call; dense / pruned */
        quartiles gain;                 /* the pruned call's in fp32 / in the shape's precision */
        size_t rounds;
    } pass[PASS_COUNT];
} bench_result;

quartiles quartiles_of(double *values, size_t count); /* sorts the values */

/* Data for calls of one shape. */
typedef struct bench_case bench_case;
bench_case *case_create(const bench_shape *shape);
void case_destroy(bench_case *c);
/* Makes the workspace large enough for calls with this plan (NULL: dense). */
bool case_reserve(bench_case *c, const pare_context *context, const pare_plan *plan);
/* Warms up and finds how many calls make a sample. */
pare_status case_warm_up(bench_case *c, pare_context *context, const pare_plan *plan, int pass,
                         size_t *calls);
/* Seconds of one call, as the mean of `calls` calls in a row. */
pare_status case_sample(bench_case *c, pare_context *context, const pare_plan *plan, int pass,
                        size_t calls, double *seconds);
/* Dense and pruned calls in turns, and again with pruned ones in fp32 where they are not that
 * anyway; `repeat` (at most REPEAT_MAX) rounds of each pass; fewer, but at least 5, when a pass
 * takes longer than 10 seconds. */
#define REPEAT_MAX 1000
pare_status measure_point(bench_case *c, pare_context *context, const bench_point *point,
                          size_t repeat, bench_result *result);

/* Fused multiply-adds of one call count as two operations; only kept cells count. */
double useful_gigaflops(const bench_shape *shape, double cells, int pass, double seconds);
/* Calls after which building the plan has paid; infinite when pruned calls are not faster. */
double calls_until_paid(const bench_result *result, int pass);

/* ---- Output ---- */

/* Points of one context and shape with their results. */
typedef struct bench_group {
    const bench_point *points;
    const bench_result *results;
    size_t count;
    const pare_context *context;
    double peak; /* operations per second */
} bench_group;

void print_context(const pare_context *context, double peak);
void print_group_heading(const bench_shape *shape);
void print_point(const bench_point *point, const bench_result *result, double peak);
void print_group_end(const bench_group *group);
/* Adds one row per pass and point, and the dense calls, to a JSON list. */
void append_group(json_t *rows, const bench_group *group);

#endif
