/* Adaptive softmax (arXiv 1609.04309). The head and each cluster of rare words are one plain
 * softmax over the rows that need it, so the file is one routine, softmax_run, and the bookkeeping
 * around it.
 *
 * Logits are the largest matrices of a language model, so they exist for a block of rows at a time
 * only, in the tape's scratch. In training their gradient is taken while they are there, without a
 * second product to compute them again; since the factor of the loss is known only in backward,
 * the gradients of weights and hidden state wait in the arena ("deposits") and are added, scaled,
 * when it is. */
#include <string.h>

#include "nn/tape.h"

/* Floats of logits in one block, but no fewer rows than make a matrix product efficient. Measured
 * on 2 cores, 2048 rows of 128 or 256 numbers, 33278 words: half or twice the floats change the
 * time by less than 3%; 64 rows cost 30% more than 256, and 512 save 4% for 34 MB more. */
#define BLOCK_FLOATS ((size_t)4 << 20)
#define BLOCK_ROWS_LEAST ((size_t)256)

/* ---- One softmax over rows ---- */

typedef struct softmax_task {
    size_t rows, size, columns;
    const float *hidden;     /* (rows, size) */
    const float *weight;     /* (columns, size) */
    const float *bias;       /* (columns) or NULL */
    const uint32_t *targets; /* (rows), columns of this softmax, PARE_IGNORE allowed */
    float *losses;           /* (rows), overwritten */
    /* Overwritten with gradients of the sum of losses; NULL where not wanted. */
    float *hidden_gradient, *weight_gradient, *bias_gradient;
} softmax_task;

static size_t block_rows(size_t columns)
{
    size_t rows = BLOCK_FLOATS / columns;
    return rows > BLOCK_ROWS_LEAST ? rows : BLOCK_ROWS_LEAST;
}

/* Rows of logits start on a cache line. */
static size_t logits_stride(size_t columns)
{
    return (columns + 15) / 16 * 16;
}

static bool is_differentiated(const softmax_task *task)
{
    return task->hidden_gradient || task->weight_gradient || task->bias_gradient;
}

/* Rows whose sums for the bias gradient are kept apart, so that they do not depend on threads. */
#define GROUP_ROWS ((size_t)16)

/* Losses of a block; turns logits into their gradient when that is wanted. `sums` (groups, columns)
 * or NULL receives its sums over the rows of each group. */
static void compute_block_losses(const pare_tape *tape, const softmax_task *task, size_t begin,
                                 size_t rows, float *logits, float *sums)
{
    const pri_nn_kernels *kernels = tape->kernels;
    size_t columns = task->columns, stride = logits_stride(columns);
    size_t groups = pri_divide_up(rows, GROUP_ROWS);
    bool differentiate = is_differentiated(task);
#pragma omp parallel for num_threads(pri_threads(tape->context, groups)) schedule(static)
    for (size_t group = 0; group < groups; group++) {
        float *group_sums = sums ? sums + group * columns : NULL;
        if (sums)
            memset(group_sums, 0, columns * sizeof(float));
        size_t end = group * GROUP_ROWS + pri_smaller(rows - group * GROUP_ROWS, GROUP_ROWS);
        for (size_t i = group * GROUP_ROWS; i < end; i++) {
            float *row = logits + i * stride, *loss = &task->losses[begin + i];
            uint32_t target = task->targets[begin + i];
            if (target == PARE_IGNORE) {
                *loss = 0.0f;
                memset(row, 0, columns * sizeof(float));
            } else if (differentiate) {
                *loss =
                    kernels->softmax_cross_entropy(columns, task->bias, target, row, group_sums);
            } else {
                float log_sum = kernels->log_sum_exp(columns, task->bias, row);
                *loss = log_sum - row[target];
            }
        }
    }
}

static pare_status compute_block_logits(const pare_tape *tape, const softmax_task *task,
                                        size_t begin, size_t rows, float *logits)
{
    return pare_matrix_product(tape->context, false, true, rows, task->columns, task->size, 1.0f,
                               task->hidden + begin * task->size, task->size, task->weight,
                               task->size, 0.0f, logits, logits_stride(task->columns));
}

static pare_status differentiate_block(const pare_tape *tape, const softmax_task *task,
                                       size_t begin, size_t rows, const float *gradient)
{
    size_t size = task->size, columns = task->columns, stride = logits_stride(columns);
    if (task->hidden_gradient)
        PRI_TRY(pare_matrix_product(tape->context, false, false, rows, size, columns, 1.0f,
                                    gradient, stride, task->weight, size, 0.0f,
                                    task->hidden_gradient + begin * size, size));
    if (task->weight_gradient)
        PRI_TRY(pare_matrix_product(tape->context, true, false, columns, size, rows, 1.0f, gradient,
                                    stride, task->hidden + begin * size, size, begin ? 1.0f : 0.0f,
                                    task->weight_gradient, size));
    return PARE_OK;
}

static pare_status softmax_run(pare_tape *tape, const softmax_task *task)
{
    size_t columns = task->columns, block = pri_smaller(task->rows, block_rows(columns));
    size_t logits_floats = block * logits_stride(columns);
    size_t sums_floats = task->bias_gradient ? pri_divide_up(block, GROUP_ROWS) * columns : 0;
    float *logits = pri_tape_scratch(tape, (logits_floats + sums_floats) * sizeof *logits);
    if (!logits)
        return tape->status;
    float *sums = task->bias_gradient ? logits + logits_floats : NULL;
    if (task->bias_gradient)
        memset(task->bias_gradient, 0, columns * sizeof(float));
    for (size_t begin = 0; begin < task->rows; begin += block) {
        size_t rows = pri_smaller(task->rows - begin, block);
        PRI_TRY(compute_block_logits(tape, task, begin, rows, logits));
        compute_block_losses(tape, task, begin, rows, logits, sums);
        if (is_differentiated(task))
            PRI_TRY(differentiate_block(tape, task, begin, rows, logits));
        if (sums)
            pri_add_column_sums(tape, pri_divide_up(rows, GROUP_ROWS), columns, sums, columns,
                                task->bias_gradient);
    }
    return PARE_OK;
}

/* ---- Checks ---- */

static size_t cluster_begin(const pare_adaptive_softmax *softmax, size_t cluster)
{
    return cluster ? softmax->cutoffs[cluster - 1] : 0;
}

static size_t cluster_words(const pare_adaptive_softmax *softmax, size_t cluster)
{
    return softmax->cutoffs[cluster] - cluster_begin(softmax, cluster);
}

/* Words of the shortlist, then one column per other cluster. */
static size_t head_columns(const pare_adaptive_softmax *softmax)
{
    return softmax->cutoffs[0] + softmax->clusters - 1;
}

static uint32_t cluster_column(const pare_adaptive_softmax *softmax, size_t cluster)
{
    return (uint32_t)(softmax->cutoffs[0] + cluster - 1);
}

static bool has_shape(const pare_tensor *tensor, size_t rows, size_t columns)
{
    return tensor->rows == rows && tensor->columns == columns;
}

static bool tensors_present(const pare_adaptive_softmax *softmax)
{
    if (softmax->clusters < 1 || softmax->clusters > PARE_CLUSTERS_MAX)
        return false;
    for (size_t c = 0; c < softmax->clusters; c++)
        if (!softmax->weight[c])
            return false;
    return softmax->clusters == 1 || softmax->cluster_weight;
}

static pare_status check_cluster(const pare_adaptive_softmax *softmax, size_t c, size_t d)
{
    const pare_tensor *projection = softmax->projection[c], *weight = softmax->weight[c];
    if (softmax->cutoffs[c] <= cluster_begin(softmax, c))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "adaptive softmax: cutoff %zu (cluster %zu) must be larger than the one "
                        "before it",
                        softmax->cutoffs[c], c);
    size_t words = cluster_words(softmax, c), size = projection ? projection->columns : d;
    if (!has_shape(weight, words, size) || (projection && projection->rows != d) ||
        (softmax->bias[c] && !has_shape(softmax->bias[c], 1, words)))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "adaptive softmax: cluster %zu has %zu words and hidden size %zu, which "
                        "asks for a weight of %zu x %zu (it is %zu x %zu), a projection of %zu "
                        "rows and a bias of 1 x %zu",
                        c, words, d, words, size, weight->rows, weight->columns, d, words);
    return PARE_OK;
}

static pare_status check_softmax(const pare_adaptive_softmax *softmax, size_t d)
{
    for (size_t c = 0; c < softmax->clusters; c++)
        PRI_TRY(check_cluster(softmax, c, d));
    size_t tokens = softmax->clusters - 1;
    if (tokens && (!has_shape(softmax->cluster_weight, tokens, softmax->weight[0]->columns) ||
                   (softmax->cluster_bias && !has_shape(softmax->cluster_bias, 1, tokens))))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "adaptive softmax: %zu clusters ask for a cluster weight of %zu x %zu (it "
                        "is %zu x %zu) and a cluster bias of 1 x %zu",
                        softmax->clusters, tokens, softmax->weight[0]->columns,
                        softmax->cluster_weight->rows, softmax->cluster_weight->columns, tokens);
    return PARE_OK;
}

static pare_status check_targets(const pare_adaptive_softmax *softmax, const uint32_t *targets,
                                 size_t count)
{
    size_t vocabulary = softmax->cutoffs[softmax->clusters - 1];
    for (size_t i = 0; i < count; i++)
        if (targets[i] != PARE_IGNORE && targets[i] >= vocabulary)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "adaptive softmax: target %zu is %lu but the vocabulary has %zu words",
                            i, (unsigned long)targets[i], vocabulary);
    return PARE_OK;
}

/* ---- Weights of the head: the shortlist's, then the cluster tokens' ---- */

typedef struct matrix_and_bias {
    const float *weight, *bias; /* bias may be NULL */
} matrix_and_bias;

static void copy_or_zero(float *to, const pare_tensor *from, size_t count)
{
    if (from)
        memcpy(to, from->value, count * sizeof(float));
    else
        memset(to, 0, count * sizeof(float));
}

/* One matrix for one product; the copy is a small part of what the product costs. */
static matrix_and_bias head_weights(pare_tape *tape, const pare_adaptive_softmax *softmax)
{
    const pare_tensor *weight = softmax->weight[0], *bias = softmax->bias[0];
    if (softmax->clusters == 1)
        return (matrix_and_bias){weight->value, bias ? bias->value : NULL};
    size_t words = softmax->cutoffs[0], tokens = softmax->clusters - 1, size = weight->columns;
    float *joined = pri_tape_allocate(tape, (words + tokens) * size, sizeof *joined);
    float *joined_bias = pri_tape_allocate(tape, words + tokens, sizeof *joined_bias);
    if (!joined || !joined_bias)
        return (matrix_and_bias){NULL, NULL};
    memcpy(joined, weight->value, words * size * sizeof(float));
    memcpy(joined + words * size, softmax->cluster_weight->value, tokens * size * sizeof(float));
    copy_or_zero(joined_bias, bias, words);
    copy_or_zero(joined_bias + words, softmax->cluster_bias, tokens);
    return (matrix_and_bias){joined, joined_bias};
}

static matrix_and_bias cluster_weights(pare_tape *tape, const pare_adaptive_softmax *softmax,
                                       size_t cluster)
{
    if (cluster == 0)
        return head_weights(tape, softmax);
    const pare_tensor *bias = softmax->bias[cluster];
    return (matrix_and_bias){softmax->weight[cluster]->value, bias ? bias->value : NULL};
}

/* ---- Loss ---- */

/* Gradient of the sum of losses, waiting for its factor. */
typedef struct deposit {
    pare_tensor *tensor;
    const float *gradient;
} deposit;

#define DEPOSITS_MAX (3 * PARE_CLUSTERS_MAX + 3)

typedef struct adaptive_record {
    pri_record base;
    deposit deposits[DEPOSITS_MAX];
    size_t deposit_count;
    size_t counted; /* rows with a target; at least 1 */
} adaptive_record;

static pare_status adaptive_backward(pare_tape *tape, pri_record *base)
{
    adaptive_record *record = (adaptive_record *)base;
    float factor = base->output->gradient[0] / (float)record->counted;
    for (size_t i = 0; i < record->deposit_count; i++) {
        pare_tensor *tensor = record->deposits[i].tensor;
        float beta;
        PRI_TRY(pri_gradient_begin(tape, tensor, &beta));
        pri_add_scaled(tape, tensor->rows * tensor->columns, factor, record->deposits[i].gradient,
                       beta, tensor->gradient);
    }
    return PARE_OK;
}

static void add_deposit(adaptive_record *record, pare_tensor *tensor, const float *gradient)
{
    if (gradient && pri_wants_gradient(tensor))
        record->deposits[record->deposit_count++] = (deposit){tensor, gradient};
}

/* Rows of one cluster; for the head, all rows. */
typedef struct cluster_rows {
    uint32_t *positions; /* of the rows; NULL for the head */
    uint32_t *targets;   /* columns of the cluster's softmax */
    size_t count;
} cluster_rows;

typedef struct loss_call {
    pare_tape *tape;
    const pare_adaptive_softmax *softmax;
    pare_tensor *hidden;
    adaptive_record *record;
    bool training;
    float *losses;          /* (rows) */
    float *hidden_gradient; /* (rows, d) of the sum of losses, or NULL */
} loss_call;

static float *gradient_room(const loss_call *call, bool wanted, size_t count)
{
    return wanted && call->training ? pri_tape_allocate(call->tape, count, sizeof(float)) : NULL;
}

/* For the gradient of a cluster's hidden rows; the head's are those of the call. */
static float *wide_room(const loss_call *call, const cluster_rows *rows)
{
    if (!rows->positions)
        return call->hidden_gradient;
    return gradient_room(call, call->hidden_gradient, rows->count * call->hidden->columns);
}

static void copy_rows(const pare_tape *tape, const float *from, const uint32_t *positions,
                      size_t count, size_t columns, float *to)
{
#pragma omp parallel for num_threads(pri_threads(tape->context, count)) schedule(static)
    for (size_t i = 0; i < count; i++)
        memcpy(to + i * columns, from + positions[i] * columns, columns * sizeof(float));
}

/* Each row of the result belongs to one row here, so threads do not meet. */
static void add_rows(const pare_tape *tape, const float *from, const uint32_t *positions,
                     size_t count, size_t columns, float *to)
{
#pragma omp parallel for num_threads(pri_threads(tape->context, count)) schedule(static)
    for (size_t i = 0; i < count; i++)
        tape->kernels->add_scaled(columns, 1.0f, from + i * columns, 1.0f,
                                  to + positions[i] * columns);
}

/* The hidden rows a cluster's softmax sees, before and after its projection. */
typedef struct cluster_input {
    const float *wide;   /* (count, d) */
    const float *narrow; /* (count, size); the same without a projection */
} cluster_input;

static pare_status make_input(const loss_call *call, const cluster_rows *rows,
                              const pare_tensor *projection, cluster_input *input)
{
    pare_tape *tape = call->tape;
    size_t count = rows->count, d = call->hidden->columns;
    input->wide = call->hidden->value;
    if (rows->positions) {
        float *copy = pri_tape_allocate(tape, count * d, sizeof *copy);
        if (!copy)
            return tape->status;
        copy_rows(tape, call->hidden->value, rows->positions, count, d, copy);
        input->wide = copy;
    }
    input->narrow = input->wide;
    if (!projection)
        return PARE_OK;
    size_t size = projection->columns;
    float *projected = pri_tape_allocate(tape, count * size, sizeof *projected);
    if (!projected)
        return tape->status;
    input->narrow = projected;
    return pare_matrix_product(tape->context, false, false, count, size, d, 1.0f, input->wide, d,
                               projection->value, size, 0.0f, projected, size);
}

/* From the gradient of the cluster's input to those of the projection and of the hidden state. */
static pare_status return_gradient(const loss_call *call, const cluster_rows *rows,
                                   pare_tensor *projection, const cluster_input *input,
                                   const float *narrow_gradient)
{
    pare_tape *tape = call->tape;
    size_t count = rows->count, d = call->hidden->columns;
    const float *wide_gradient = narrow_gradient;
    if (projection) {
        size_t size = projection->columns;
        float *projection_gradient = gradient_room(call, pri_wants_gradient(projection), d * size);
        float *wide = wide_room(call, rows);
        PRI_TRY(tape->status);
        if (projection_gradient)
            PRI_TRY(pare_matrix_product(tape->context, true, false, d, size, count, 1.0f,
                                        input->wide, d, narrow_gradient, size, 0.0f,
                                        projection_gradient, size));
        if (wide)
            PRI_TRY(pare_matrix_product(tape->context, false, true, count, d, size, 1.0f,
                                        narrow_gradient, size, projection->value, size, 0.0f, wide,
                                        d));
        add_deposit(call->record, projection, projection_gradient);
        wide_gradient = wide;
    }
    if (!call->hidden_gradient)
        return PARE_OK;
    if (rows->positions)
        add_rows(tape, wide_gradient, rows->positions, count, d, call->hidden_gradient);
    return PARE_OK;
}

static void deposit_head(const loss_call *call, const softmax_task *task)
{
    const pare_adaptive_softmax *softmax = call->softmax;
    size_t words = softmax->cutoffs[0];
    add_deposit(call->record, softmax->weight[0], task->weight_gradient);
    add_deposit(call->record, softmax->bias[0], task->bias_gradient);
    if (task->weight_gradient)
        add_deposit(call->record, softmax->cluster_weight,
                    task->weight_gradient + words * task->size);
    if (task->bias_gradient)
        add_deposit(call->record, softmax->cluster_bias, task->bias_gradient + words);
}

static pare_status run_cluster(const loss_call *call, size_t cluster, const cluster_rows *rows,
                               float *losses)
{
    pare_tape *tape = call->tape;
    const pare_adaptive_softmax *softmax = call->softmax;
    pare_tensor *weight = softmax->weight[cluster], *bias = softmax->bias[cluster];
    pare_tensor *projection = softmax->projection[cluster];
    bool head = cluster == 0, joined = head && softmax->clusters > 1;
    bool weight_wanted =
        pri_wants_gradient(weight) || (joined && pri_wants_gradient(softmax->cluster_weight));
    bool bias_wanted =
        pri_wants_gradient(bias) || (joined && pri_wants_gradient(softmax->cluster_bias));
    bool input_wanted = call->hidden_gradient || pri_wants_gradient(projection);
    size_t columns = head ? head_columns(softmax) : cluster_words(softmax, cluster);
    size_t size = weight->columns;
    matrix_and_bias weights = cluster_weights(tape, softmax, cluster);
    cluster_input input = {NULL, NULL};
    PRI_TRY(tape->status);
    PRI_TRY(make_input(call, rows, projection, &input));
    softmax_task task = {
        .rows = rows->count,
        .size = size,
        .columns = columns,
        .hidden = input.narrow,
        .weight = weights.weight,
        .bias = weights.bias,
        .targets = rows->targets,
        .losses = losses,
        .hidden_gradient = projection ? gradient_room(call, input_wanted, rows->count * size)
                                      : wide_room(call, rows),
        .weight_gradient = gradient_room(call, weight_wanted, columns * size),
        .bias_gradient = gradient_room(call, bias_wanted, columns),
    };
    PRI_TRY(tape->status);
    PRI_TRY(softmax_run(tape, &task));
    if (head)
        deposit_head(call, &task);
    else {
        add_deposit(call->record, weight, task.weight_gradient);
        add_deposit(call->record, bias, task.bias_gradient);
    }
    return task.hidden_gradient
               ? return_gradient(call, rows, projection, &input, task.hidden_gradient)
               : PARE_OK;
}

/* Head targets of all rows, and for each other cluster its rows in order. */
static pare_status split_targets(pare_tape *tape, const pare_adaptive_softmax *softmax,
                                 const uint32_t *targets, size_t count,
                                 cluster_rows rows[PARE_CLUSTERS_MAX])
{
    for (size_t c = 0; c < softmax->clusters; c++)
        rows[c] = (cluster_rows){
            .positions = c ? pri_tape_allocate(tape, count, sizeof(uint32_t)) : NULL,
            .targets = pri_tape_allocate(tape, count, sizeof(uint32_t)),
        };
    PRI_TRY(tape->status);
    rows[0].count = count;
    for (size_t i = 0; i < count; i++) {
        uint32_t target = targets[i];
        rows[0].targets[i] = target;
        if (target == PARE_IGNORE || target < softmax->cutoffs[0])
            continue;
        size_t c = 1;
        while (target >= softmax->cutoffs[c])
            c++;
        rows[0].targets[i] = cluster_column(softmax, c);
        rows[c].positions[rows[c].count] = (uint32_t)i;
        rows[c].targets[rows[c].count++] = target - (uint32_t)softmax->cutoffs[c - 1];
    }
    return PARE_OK;
}

static pare_status run_clusters(const loss_call *call, const uint32_t *targets)
{
    pare_tape *tape = call->tape;
    size_t count = call->hidden->rows;
    cluster_rows rows[PARE_CLUSTERS_MAX];
    PRI_TRY(split_targets(tape, call->softmax, targets, count, rows));
    PRI_TRY(run_cluster(call, 0, &rows[0], call->losses));
    float *losses = pri_tape_allocate(tape, count, sizeof *losses);
    if (!losses)
        return tape->status;
    for (size_t c = 1; c < call->softmax->clusters; c++) {
        if (rows[c].count == 0)
            continue;
        PRI_TRY(run_cluster(call, c, &rows[c], losses));
        for (size_t i = 0; i < rows[c].count; i++)
            call->losses[rows[c].positions[i]] += losses[i];
    }
    return PARE_OK;
}

static bool softmax_wants_gradient(const pare_adaptive_softmax *softmax)
{
    bool wants =
        pri_wants_gradient(softmax->cluster_weight) || pri_wants_gradient(softmax->cluster_bias);
    for (size_t c = 0; c < softmax->clusters; c++)
        wants |= pri_wants_gradient(softmax->weight[c]) || pri_wants_gradient(softmax->bias[c]) ||
                 pri_wants_gradient(softmax->projection[c]);
    return wants;
}

pare_tensor *pare_adaptive_softmax_loss(pare_tape *tape, pare_tensor *hidden,
                                        const pare_adaptive_softmax *softmax,
                                        const uint32_t *targets, float *losses)
{
    if (!pri_tape_ready(tape, hidden && tensors_present(softmax)))
        return NULL;
    size_t count = hidden->rows, d = hidden->columns;
    pare_status status = check_softmax(softmax, d);
    if (status == PARE_OK && count == 0)
        status = pri_fail(PARE_ERROR_ARGUMENT, "adaptive softmax: there are no rows to score");
    if (status == PARE_OK)
        status = check_targets(softmax, targets, count);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    pare_tensor *loss =
        pri_tape_result(tape, 1, 1, pri_wants_gradient(hidden) || softmax_wants_gradient(softmax));
    adaptive_record *record = pri_tape_record(tape, adaptive_backward, loss, sizeof *record);
    if (!record)
        return NULL;
    loss_call call = {
        .tape = tape,
        .softmax = softmax,
        .hidden = hidden,
        .record = record,
        .training = pri_wants_gradient(loss),
        .losses = losses ? losses : pri_tape_allocate(tape, count, sizeof(float)),
    };
    call.hidden_gradient = gradient_room(&call, pri_wants_gradient(hidden), count * d);
    if (tape->status != PARE_OK)
        return NULL;
    status = run_clusters(&call, targets);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    add_deposit(record, hidden, call.hidden_gradient);
    double sum = 0.0;
    size_t counted = 0;
    for (size_t i = 0; i < count; i++) {
        counted += targets[i] != PARE_IGNORE;
        sum += (double)call.losses[i];
    }
    record->counted = counted ? counted : 1;
    loss->value[0] = (float)(sum / (double)record->counted);
    return loss;
}

/* ---- Log-probabilities of every word ---- */

/* Writes columns begin .. begin + words - 1 of the output rows. For a cluster, `heads` (rows, head
 * stride) holds the head's log-probabilities, of which column `token` is the cluster's. */
typedef struct column_range {
    size_t begin, words, vocabulary;
    const float *heads;
    size_t heads_stride;
    uint32_t token;
} column_range;

static void write_log_probabilities(const pare_tape *tape, const matrix_and_bias *weights,
                                    size_t rows, size_t columns, float *logits,
                                    const column_range *range, float *output)
{
    size_t stride = logits_stride(columns);
#pragma omp parallel for num_threads(pri_threads(tape->context, rows)) schedule(static)
    for (size_t i = 0; i < rows; i++) {
        float *row = logits + i * stride;
        float shift = -tape->kernels->log_sum_exp(columns, weights->bias, row);
        if (range->heads)
            shift += range->heads[i * range->heads_stride + range->token];
        for (size_t j = 0; j < columns; j++)
            row[j] += shift;
        memcpy(output + i * range->vocabulary + range->begin, row, range->words * sizeof(float));
    }
}

static pare_status cluster_log_probabilities(const loss_call *call, size_t cluster, size_t columns,
                                             const column_range *range, float *logits,
                                             float *output)
{
    pare_tape *tape = call->tape;
    const pare_tensor *projection = call->softmax->projection[cluster];
    size_t rows = call->hidden->rows;
    matrix_and_bias weights = cluster_weights(tape, call->softmax, cluster);
    cluster_input input = {NULL, NULL};
    PRI_TRY(tape->status);
    PRI_TRY(make_input(call, &(cluster_rows){.count = rows}, projection, &input));
    softmax_task task = {.rows = rows,
                         .size = call->softmax->weight[cluster]->columns,
                         .columns = columns,
                         .hidden = input.narrow,
                         .weight = weights.weight};
    PRI_TRY(compute_block_logits(tape, &task, 0, rows, logits));
    write_log_probabilities(tape, &weights, rows, columns, logits, range, output);
    return PARE_OK;
}

static pare_status all_log_probabilities(const loss_call *call, float *output)
{
    pare_tape *tape = call->tape;
    const pare_adaptive_softmax *softmax = call->softmax;
    size_t rows = call->hidden->rows, vocabulary = softmax->cutoffs[softmax->clusters - 1];
    size_t columns = head_columns(softmax);
    float *heads = pri_tape_allocate(tape, rows * logits_stride(columns), sizeof *heads);
    if (!heads)
        return tape->status;
    column_range range = {.words = softmax->cutoffs[0], .vocabulary = vocabulary};
    PRI_TRY(cluster_log_probabilities(call, 0, columns, &range, heads, output));
    range.heads = heads;
    range.heads_stride = logits_stride(columns);
    for (size_t c = 1; c < softmax->clusters; c++) {
        range.begin = cluster_begin(softmax, c);
        range.words = cluster_words(softmax, c);
        range.token = cluster_column(softmax, c);
        float *logits = pri_tape_scratch(tape, rows * logits_stride(range.words) * sizeof *logits);
        if (!logits)
            return tape->status;
        PRI_TRY(cluster_log_probabilities(call, c, range.words, &range, logits, output));
    }
    return PARE_OK;
}

pare_status pare_adaptive_softmax_log_probabilities(pare_tape *tape, pare_tensor *hidden,
                                                    const pare_adaptive_softmax *softmax,
                                                    float *output)
{
    if (!pri_tape_ready(tape, hidden && tensors_present(softmax)))
        return tape->status;
    loss_call call = {.tape = tape, .softmax = softmax, .hidden = hidden};
    pare_status status = check_softmax(softmax, hidden->columns);
    if (status == PARE_OK)
        status = all_log_probabilities(&call, output);
    if (status != PARE_OK)
        pri_tape_fail(tape, status);
    return status;
}
