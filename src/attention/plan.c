/* Compiles a mask into a plan: row lists first, then the same cells sorted by column with one
 * counting pass. Everything the kernels would have to decide per call is decided here, once. */
#include "attention/plan.h"

#include "base/memory.h"
#include "base/status.h"

static pare_status geometry_is_possible(const pare_plan_geometry *geometry)
{
    const size_t limit = UINT16_MAX + 1u; /* rows and columns are stored in 16 bits */
    if (!geometry->heads || !geometry->queries || !geometry->keys)
        return pri_fail(PARE_ERROR_ARGUMENT, "a plan needs at least one head, query and key");
    if (geometry->causal && geometry->keys < geometry->queries)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "a causal plan needs at least as many keys as queries, not %zu and %zu",
                        geometry->keys, geometry->queries);
    if (geometry->queries > limit || geometry->keys > limit)
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "plans hold up to %zu queries and keys, not %zu and %zu", limit,
                        geometry->queries, geometry->keys);
    return PARE_OK;
}

static size_t admissible_columns(const pare_plan_geometry *geometry, size_t row)
{
    return geometry->causal ? row + geometry->keys - geometry->queries + 1 : geometry->keys;
}

/* Grows `columns` so that one more row fits. */
static pare_status reserve_row(pare_plan *plan, size_t used, size_t *capacity)
{
    size_t needed = used + plan->geometry.keys;
    if (needed <= *capacity)
        return PARE_OK;
    size_t grown = needed > 2 * *capacity ? needed : 2 * *capacity;
    uint16_t *columns = pri_reallocate(plan->columns, *capacity, grown, sizeof *columns);
    if (!columns)
        return PARE_ERROR_MEMORY;
    plan->columns = columns;
    *capacity = grown;
    return PARE_OK;
}

static pare_status compile_rows(pare_plan *plan, pare_plan_row kept, void *user, uint8_t *fill)
{
    const pare_plan_geometry *geometry = &plan->geometry;
    size_t capacity = 0, used = 0;
    for (size_t head = 0; head < geometry->heads; head++) {
        size_t head_begin = used;
        for (size_t row = 0; row < geometry->queries; row++) {
            PRI_TRY(reserve_row(plan, used, &capacity));
            size_t index = head * geometry->queries + row;
            size_t reach = admissible_columns(geometry, row);
            plan->row_begin[index] = used;
            kept(user, head, row, fill);
            for (size_t column = 0; column < reach; column++) {
                if (!fill[column])
                    continue;
                plan->columns[used++] = (uint16_t)column;
                plan->uniform[index] = fill[column] == 2;
            }
            if (used - plan->row_begin[index] > plan->longest_row)
                plan->longest_row = used - plan->row_begin[index];
        }
        if (used - head_begin > UINT32_MAX)
            return pri_fail(PARE_ERROR_UNSUPPORTED, "a plan holds less than 2^32 cells per head");
    }
    plan->row_begin[geometry->heads * geometry->queries] = used;
    return PARE_OK;
}

static void compile_marks(pare_plan *plan)
{
    size_t rows = plan->geometry.heads * plan->geometry.queries;
    for (size_t row = 0; row < rows; row++) {
        size_t begin = plan->row_begin[row], cell = begin, end = plan->row_begin[row + 1];
        for (size_t m = 0; m < plan->marks_per_row; m++) {
            while (cell < end && plan->columns[cell] < m * PRI_MARK_COLUMNS)
                cell++;
            plan->marks[row * plan->marks_per_row + m] = (uint32_t)(cell - begin);
        }
    }
}

static void compile_bits(pare_plan *plan)
{
    const pare_plan_geometry *geometry = &plan->geometry;
    for (size_t head = 0; head < geometry->heads; head++) {
        size_t kept = 0, admissible = 0;
        for (size_t row = 0; row < geometry->queries; row++) {
            size_t index = head * geometry->queries + row;
            uint64_t *bits = plan->bits + index * plan->words_per_row;
            for (size_t i = plan->row_begin[index]; i < plan->row_begin[index + 1]; i++)
                bits[plan->columns[i] / 64] |= UINT64_C(1) << plan->columns[i] % 64;
            kept += plan->row_begin[index + 1] - plan->row_begin[index];
            admissible += admissible_columns(geometry, row);
        }
        plan->share[head] = (double)kept / (double)admissible;
    }
}

static void compile_columns(pare_plan *plan)
{
    const pare_plan_geometry *geometry = &plan->geometry;
    size_t *begin = plan->column_begin;
    for (size_t head = 0; head < geometry->heads; head++) {
        size_t *column_begin = begin + head * geometry->keys;
        size_t first = plan->row_begin[head * geometry->queries];
        size_t end = plan->row_begin[(head + 1) * geometry->queries];
        /* Count into the next column, sum up, fill while moving each begin to its end, and move
         * all back by one column. */
        for (size_t cell = first; cell < end; cell++)
            column_begin[plan->columns[cell] + 1]++;
        column_begin[0] = first;
        for (size_t column = 0; column < geometry->keys; column++)
            column_begin[column + 1] += column_begin[column];
        for (size_t row = 0; row < geometry->queries; row++) {
            size_t index = head * geometry->queries + row;
            for (size_t cell = plan->row_begin[index]; cell < plan->row_begin[index + 1]; cell++) {
                size_t place = column_begin[plan->columns[cell]]++;
                plan->rows[place] = (uint16_t)row;
                plan->cells[place] = (uint32_t)(cell - first);
            }
        }
        for (size_t column = geometry->keys; column > 0; column--)
            column_begin[column] = column_begin[column - 1];
        column_begin[0] = first;
    }
    begin[geometry->heads * geometry->keys] = plan->row_begin[geometry->heads * geometry->queries];
}

static pare_status compile(pare_plan *plan, pare_plan_row kept, void *user)
{
    const pare_plan_geometry *geometry = &plan->geometry;
    size_t rows, columns, marks, words;
    /* One mark more than fits, so that the last one counts the whole row. */
    plan->words_per_row = geometry->keys / 64 + 2; /* vectors may be read beyond the last */
    plan->marks_per_row = (geometry->keys + PRI_MARK_COLUMNS - 1) / PRI_MARK_COLUMNS + 1;
    if (pri_multiply_overflows(geometry->heads, geometry->queries, &rows) ||
        pri_multiply_overflows(geometry->heads, geometry->keys, &columns) ||
        pri_multiply_overflows(rows, plan->marks_per_row, &marks) ||
        pri_multiply_overflows(rows, plan->words_per_row, &words))
        return pri_fail(PARE_ERROR_ARGUMENT, "a plan of %zu heads is too large", geometry->heads);
    plan->row_begin = pri_allocate_zero(rows + 1, sizeof *plan->row_begin);
    plan->column_begin = pri_allocate_zero(columns + 1, sizeof *plan->column_begin);
    plan->uniform = pri_allocate_zero(rows, sizeof *plan->uniform);
    plan->marks = pri_allocate(marks, sizeof *plan->marks);
    plan->bits = pri_allocate_zero(words, sizeof *plan->bits);
    plan->share = pri_allocate_zero(geometry->heads, sizeof *plan->share);
    uint8_t *fill = pri_allocate_zero(geometry->keys, sizeof *fill);
    if (!plan->row_begin || !plan->column_begin || !plan->uniform || !plan->marks || !plan->bits ||
        !plan->share || !fill) {
        pri_free(fill);
        return PARE_ERROR_MEMORY;
    }
    pare_status status = compile_rows(plan, kept, user, fill);
    pri_free(fill);
    PRI_TRY(status);
    size_t cells = plan->row_begin[rows];
    uint16_t *fitted = pri_reallocate(plan->columns, cells, cells, sizeof *fitted);
    if (!fitted)
        return PARE_ERROR_MEMORY;
    plan->columns = fitted;
    plan->rows = pri_allocate(cells, sizeof *plan->rows);
    plan->cells = pri_allocate(cells, sizeof *plan->cells);
    if (!plan->rows || !plan->cells)
        return PARE_ERROR_MEMORY;
    compile_marks(plan);
    compile_bits(plan);
    compile_columns(plan);
    return PARE_OK;
}

pare_status pare_plan_create(const pare_plan_geometry *geometry, pare_plan_row kept, void *user,
                             pare_plan **plan)
{
    *plan = NULL;
    PRI_TRY(geometry_is_possible(geometry));
    pare_plan *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->geometry = *geometry;
    pare_status status = compile(created, kept, user);
    if (status != PARE_OK) {
        pare_plan_destroy(created);
        return status;
    }
    *plan = created;
    return PARE_OK;
}

void pare_plan_destroy(pare_plan *plan)
{
    if (!plan)
        return;
    pri_free(plan->row_begin);
    pri_free(plan->columns);
    pri_free(plan->uniform);
    pri_free(plan->marks);
    pri_free(plan->bits);
    pri_free(plan->share);
    pri_free(plan->column_begin);
    pri_free(plan->rows);
    pri_free(plan->cells);
    pri_free(plan);
}

uint64_t pare_plan_kept(const pare_plan *plan)
{
    return plan->row_begin[plan->geometry.heads * plan->geometry.queries];
}

size_t pare_plan_bytes(const pare_plan *plan)
{
    const pare_plan_geometry *geometry = &plan->geometry;
    size_t rows = geometry->heads * geometry->queries, columns = geometry->heads * geometry->keys;
    size_t cell = sizeof *plan->columns + sizeof *plan->rows + sizeof *plan->cells;
    size_t row = sizeof *plan->uniform + plan->marks_per_row * sizeof *plan->marks +
                 plan->words_per_row * sizeof *plan->bits;
    return sizeof *plan + (rows + columns + 2) * sizeof *plan->row_begin + rows * row +
           geometry->heads * sizeof *plan->share + (size_t)pare_plan_kept(plan) * cell;
}

pare_status pri_plan_geometry_check(const pare_plan_geometry *geometry, const pare_attention *call,
                                    const char *what)
{
    if (geometry->heads != call->heads || geometry->causal != call->causal)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the %s is for %zu heads, %scausal, but the attention has %zu heads and is "
                        "%scausal",
                        what, geometry->heads, geometry->causal ? "" : "not ", call->heads,
                        call->causal ? "" : "not ");
    for (size_t n = 0; n < call->queries.count; n++) {
        pri_sequence sequence = pri_sequence_at(call, n);
        bool fits = geometry->causal ? sequence.memory <= geometry->keys - geometry->queries
                                     : sequence.keys <= geometry->keys;
        if (!fits || sequence.queries > geometry->queries)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "sequence %zu has %zu queries and %zu keys; the %s was made for %zu "
                            "queries and %zu keys and cannot serve it",
                            n, sequence.queries, sequence.keys, what, geometry->queries,
                            geometry->keys);
    }
    return PARE_OK;
}
