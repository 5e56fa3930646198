/* Element-wise work and sums shared by several operators, cut into pieces that depend on shapes
 * only, so that results do not depend on the number of threads. */
#include "nn/optimizer.h"
#include "nn/tape.h"

#define PIECE ((size_t)8192) /* floats: a piece stays in the first-level cache */
#define COLUMN_STRIP ((size_t)64)

void pri_add_scaled(const pare_tape *tape, size_t count, float factor, const float *x, float beta,
                    float *y)
{
    size_t pieces = pri_divide_up(count, PIECE);
#pragma omp parallel for num_threads(pri_threads(tape->context, pieces)) schedule(static)
    for (size_t i = 0; i < pieces; i++) {
        size_t begin = i * PIECE;
        tape->kernels->add_scaled(pri_smaller(count - begin, PIECE), factor, x + begin, beta,
                                  y + begin);
    }
}

void pri_add_column_sums(const pare_tape *tape, size_t rows, size_t columns, const float *x,
                         size_t stride, float *out)
{
    size_t strips = pri_divide_up(columns, COLUMN_STRIP);
#pragma omp parallel for num_threads(pri_threads(tape->context, strips)) schedule(static)
    for (size_t i = 0; i < strips; i++) {
        size_t begin = i * COLUMN_STRIP;
        tape->kernels->add_column_sums(rows, pri_smaller(columns - begin, COLUMN_STRIP), x + begin,
                                       stride, out + begin);
    }
}

/* ---- Scatter-add: rows of equal id are brought together by a stable sort, then each row of the
 * table belongs to one piece of work, and its terms are added in the order of their positions. ----
 */

typedef struct place {
    uint32_t id, position;
} place;

/* One pass of a radix sort over 11 bits. */
static void sort_pass(const place *from, place *to, size_t count, unsigned shift)
{
    size_t starts[2048] = {0};
    for (size_t i = 0; i < count; i++)
        starts[from[i].id >> shift & 2047]++;
    for (size_t digit = 0, sum = 0; digit < 2048; digit++) {
        size_t in_digit = starts[digit];
        starts[digit] = sum;
        sum += in_digit;
    }
    for (size_t i = 0; i < count; i++)
        to[starts[from[i].id >> shift & 2047]++] = from[i];
}

/* `places` and `spare` hold `count` each; returns the sorted one. */
static const place *sort_places(place *places, place *spare, size_t count, uint32_t largest)
{
    for (unsigned shift = 0; shift < 32 && (shift == 0 || largest >> shift); shift += 11) {
        sort_pass(places, spare, count, shift);
        place *sorted = spare;
        spare = places;
        places = sorted;
    }
    return places;
}

pare_status pri_scatter_add(pare_tape *tape, const uint32_t *ids, size_t count, size_t columns,
                            float factor, const float *x, float *table)
{
    if (count == 0)
        return PARE_OK;
    place *places = pri_tape_allocate(tape, count, sizeof *places);
    place *spare = pri_tape_allocate(tape, count, sizeof *spare);
    size_t *runs = pri_tape_allocate(tape, count + 1, sizeof *runs);
    if (!places || !spare || !runs)
        return tape->status;
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        places[i] = (place){ids[i], (uint32_t)i};
        if (ids[i] > largest)
            largest = ids[i];
    }
    const place *sorted = sort_places(places, spare, count, largest);
    size_t run_count = 0;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || sorted[i].id != sorted[i - 1].id)
            runs[run_count++] = i;
    runs[run_count] = count;
#pragma omp parallel for num_threads(pri_threads(tape->context, run_count)) schedule(dynamic, 16)
    for (size_t run = 0; run < run_count; run++)
        for (size_t i = runs[run]; i < runs[run + 1]; i++)
            tape->kernels->add_scaled(columns, factor, x + sorted[i].position * columns, 1.0f,
                                      table + sorted[i].id * columns);
    return PARE_OK;
}

/* ---- Optimisers ---- */

void pri_adam_update(pare_context *context, const pri_adam *adam, size_t count, float *parameter,
                     const float *gradient, float *m, float *v)
{
    const pri_nn_kernels *kernels = pri_nn_kernels_for(context);
    size_t pieces = pri_divide_up(count, PIECE);
#pragma omp parallel for num_threads(pri_threads(context, pieces)) schedule(static)
    for (size_t i = 0; i < pieces; i++) {
        size_t begin = i * PIECE;
        kernels->adam(adam, pri_smaller(count - begin, PIECE), parameter + begin, gradient + begin,
                      m + begin, v + begin);
    }
}

/* Partial sums live on the stack, so the number of pieces is bounded. */
#define SUMS_MAX ((size_t)256)

double pri_sum_of_squares(pare_context *context, size_t count, const float *x)
{
    const pri_nn_kernels *kernels = pri_nn_kernels_for(context);
    double sums[SUMS_MAX];
    size_t piece = pri_divide_up(count, SUMS_MAX);
    piece = piece > PIECE ? piece : PIECE;
    size_t pieces = pri_divide_up(count, piece);
#pragma omp parallel for num_threads(pri_threads(context, pieces)) schedule(static)
    for (size_t i = 0; i < pieces; i++)
        sums[i] = kernels->sum_of_squares(pri_smaller(count - i * piece, piece), x + i * piece);
    double sum = 0.0;
    for (size_t i = 0; i < pieces; i++)
        sum += sums[i];
    return sum;
}
