/* The order of writing makes a run survive being killed at any moment:
 *
 *   1. best weights (config.json, model.safetensors), when an evaluation improves
 *   2. last/step-N/, complete and flushed
 *   3. trainer.json, replaced atomically: from here on checkpoint N counts
 *   4. the older checkpoint is removed
 *
 * Killed before 3, the run resumes from the older checkpoint, computes the same bits again and
 * writes the same best weights again. Killed after 3, only the removal is left, which the next
 * start does. */
#include "train/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "documents/json.h"

/* ---- Paths ---- */

pare_status pri_checkpoint_open(const char *directory, json_t *identity, pri_checkpoint *checkpoint)
{
    *checkpoint = (pri_checkpoint){.identity = identity,
                                   .directory = pri_string_copy(directory),
                                   .last = pri_path_join(directory, "last"),
                                   .trainer_path = pri_path_join(directory, "trainer.json"),
                                   .time = pri_clock_seconds()};
    if (!checkpoint->directory || !checkpoint->last || !checkpoint->trainer_path)
        return PARE_ERROR_MEMORY;
    if (!identity)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory describing a training run");
    return pri_make_directories(checkpoint->last);
}

void pri_checkpoint_close(pri_checkpoint *checkpoint)
{
    pri_free(checkpoint->directory);
    pri_free(checkpoint->last);
    pri_free(checkpoint->trainer_path);
    json_decref(checkpoint->identity);
    *checkpoint = (pri_checkpoint){.identity = NULL};
}

/* The files of one checkpoint. */
typedef struct checkpoint_paths {
    char *directory, *model, *average, *optimizer, *task;
} checkpoint_paths;

static void free_paths(checkpoint_paths *paths)
{
    pri_free(paths->directory);
    pri_free(paths->model);
    pri_free(paths->average);
    pri_free(paths->optimizer);
    pri_free(paths->task);
}

/* Free also after a failure. */
static pare_status make_paths(const pri_checkpoint *checkpoint, const char *name,
                              checkpoint_paths *paths)
{
    *paths = (checkpoint_paths){.directory = pri_path_join(checkpoint->last, name)};
    if (!paths->directory)
        return PARE_ERROR_MEMORY;
    paths->model = pri_path_join(paths->directory, "model.safetensors");
    paths->average = pri_path_join(paths->directory, "average.safetensors");
    paths->optimizer = pri_path_join(paths->directory, "optimizer.safetensors");
    paths->task = pri_path_join(paths->directory, "task.safetensors");
    bool complete = paths->model && paths->average && paths->optimizer && paths->task;
    return complete ? PARE_OK : PARE_ERROR_MEMORY;
}

/* Removes the entries of `directory` for which `superfluous` says so. */
static pare_status remove_entries(const pri_checkpoint *checkpoint, const char *directory,
                                  bool (*superfluous)(const pri_checkpoint *, const char *name))
{
    DIR *stream = opendir(directory);
    if (!stream)
        return pri_fail(PARE_ERROR_FILE, "%s: cannot open this directory: %s", directory,
                        strerror(errno));
    pare_status status = PARE_OK;
    for (struct dirent *entry; status == PARE_OK && (entry = readdir(stream));) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || !superfluous(checkpoint, name))
            continue;
        char *path = pri_path_join(directory, name);
        status = path ? pri_remove_tree(path) : PARE_ERROR_MEMORY;
        pri_free(path);
    }
    closedir(stream);
    return status;
}

static bool is_not_current(const pri_checkpoint *checkpoint, const char *name)
{
    return strcmp(name, checkpoint->current);
}

/* A temporary file of a writer that was killed. */
static bool is_half_written(const pri_checkpoint *checkpoint, const char *name)
{
    static const char *const files[] = {"model.safetensors", "config.json", "trainer.json"};
    (void)checkpoint;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t length = strlen(files[i]);
        if (!strncmp(name, files[i], length) && !strncmp(name + length, ".writing-", 9))
            return true;
    }
    return false;
}

static pare_status remove_older(const pri_checkpoint *checkpoint)
{
    return remove_entries(checkpoint, checkpoint->last, is_not_current);
}

/* ---- trainer.json ---- */

static json_t *finite_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *describe_state(const pri_training_state *state)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:f, s:I, s:f, s:f, s:I, s:I, s:b, s:b}", "step",
        (json_int_t)state->step, "tokens", (json_int_t)state->tokens, "evaluated_step",
        (json_int_t)state->evaluated_step, "best_step", (json_int_t)state->best_step,
        "without_improvement", (json_int_t)state->without_improvement, "best_loss",
        finite_or_null(state->best_loss), "best_metric", finite_or_null(state->best_metric),
        "loss_sum", state->loss_sum, "loss_count", (json_int_t)state->loss_count, "seconds",
        state->seconds, "attention_seconds", state->attention_seconds, "peak_bytes",
        (json_int_t)state->peak_bytes, "log_bytes", (json_int_t)state->log_bytes, "finished",
        state->finished, "stopped_early", state->stopped_early);
}

static pare_status read_count(const json_t *object, const char *name, const char *key,
                              uint64_t *value)
{
    size_t size;
    PRI_TRY(pri_json_get_size(object, name, key, &size));
    *value = size;
    return PARE_OK;
}

static pare_status read_state(const json_t *object, const char *name, pri_training_state *state)
{
    PRI_TRY(read_count(object, name, "step", &state->step));
    PRI_TRY(read_count(object, name, "tokens", &state->tokens));
    PRI_TRY(read_count(object, name, "evaluated_step", &state->evaluated_step));
    PRI_TRY(read_count(object, name, "best_step", &state->best_step));
    PRI_TRY(read_count(object, name, "without_improvement", &state->without_improvement));
    PRI_TRY(pri_json_get_number_or(object, name, "best_loss", INFINITY, &state->best_loss));
    PRI_TRY(pri_json_get_number_or(object, name, "best_metric", INFINITY, &state->best_metric));
    PRI_TRY(pri_json_get_number(object, name, "loss_sum", &state->loss_sum));
    PRI_TRY(read_count(object, name, "loss_count", &state->loss_count));
    PRI_TRY(pri_json_get_number(object, name, "seconds", &state->seconds));
    PRI_TRY(pri_json_get_number(object, name, "attention_seconds", &state->attention_seconds));
    PRI_TRY(read_count(object, name, "peak_bytes", &state->peak_bytes));
    PRI_TRY(read_count(object, name, "log_bytes", &state->log_bytes));
    PRI_TRY(pri_json_get_bool_or(object, name, "finished", false, &state->finished));
    return pri_json_get_bool_or(object, name, "stopped_early", false, &state->stopped_early);
}

static pare_status fail_identity(const char *name, const char *key, const json_t *was,
                                 const json_t *now)
{
    char *stored = json_dumps(was, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    char *wanted = json_dumps(now, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    pare_status status =
        pri_fail(PARE_ERROR_ARGUMENT,
                 "%s: this run was started with %s %.100s, not %.100s; continue with the same "
                 "settings, or use another directory",
                 name, key, stored ? stored : "another", wanted ? wanted : "this one");
    free(stored);
    free(wanted);
    return status;
}

/* A setting that differs between this run and the stored one would give a result that is neither.
 */
static pare_status check_identity(const pri_checkpoint *checkpoint, const json_t *stored)
{
    const char *key;
    json_t *wanted;
    json_object_foreach(checkpoint->identity, key, wanted)
    {
        const json_t *found = json_object_get(stored, key);
        if (!found)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "%s: this run was started by a version of Pare that does not know %s; "
                            "finish it with that version, or use another directory",
                            checkpoint->trainer_path, key);
        if (!json_equal(wanted, found))
            return fail_identity(checkpoint->trainer_path, key, found, wanted);
    }
    return PARE_OK;
}

static pare_status read_trainer(pri_checkpoint *checkpoint, const json_t *trainer,
                                pri_training_state *state)
{
    const char *name = checkpoint->trainer_path;
    const json_t *settings = json_object_get(trainer, "settings");
    const json_t *progress = json_object_get(trainer, "state");
    if (!json_is_object(settings) || !json_is_object(progress))
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: not written by this version of Pare; remove the run's directory",
                        name);
    PRI_TRY(check_identity(checkpoint, settings));
    PRI_TRY(read_state(progress, name, state));
    PRI_TRY(pri_json_get_string(trainer, name, "checkpoint", checkpoint->current,
                                sizeof checkpoint->current));
    char expected[32];
    snprintf(expected, sizeof expected, "step-%llu", (unsigned long long)state->step);
    if (strcmp(checkpoint->current, expected))
        return pri_fail(PARE_ERROR_FORMAT, "%s: names checkpoint '%s' for step %llu", name,
                        checkpoint->current, (unsigned long long)state->step);
    return PARE_OK;
}

static pare_status write_trainer(const pri_checkpoint *checkpoint, const pri_training_state *state)
{
    json_t *trainer = json_pack("{s:s, s:O, s:o}", "checkpoint", checkpoint->current, "settings",
                                checkpoint->identity, "state", describe_state(state));
    if (!trainer)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory writing %s", checkpoint->trainer_path);
    pare_status status = pri_json_save(trainer, checkpoint->trainer_path);
    json_decref(trainer);
    return status;
}

/* ---- Reading ---- */

pare_status pri_checkpoint_find(pri_checkpoint *checkpoint, pri_training_state *state)
{
    *state = (pri_training_state){.best_loss = INFINITY, .best_metric = INFINITY};
    if (pri_path_exists(checkpoint->trainer_path)) {
        json_t *trainer;
        PRI_TRY(pri_json_load(checkpoint->trainer_path, &trainer));
        pare_status status = read_trainer(checkpoint, trainer, state);
        json_decref(trainer);
        PRI_TRY(status);
    }
    PRI_TRY(remove_older(checkpoint));
    return remove_entries(checkpoint, checkpoint->directory, is_half_written);
}

pare_status pri_checkpoint_load(const pri_checkpoint *checkpoint, const pri_training_state *state,
                                pare_model *model, pare_task *task, pri_optimizer *optimizer,
                                pri_weight_average *average)
{
    checkpoint_paths paths;
    pare_status status = make_paths(checkpoint, checkpoint->current, &paths);
    if (status == PARE_OK)
        status = pare_model_load_weights(model, paths.model);
    if (status == PARE_OK)
        status = pri_optimizer_load(optimizer, state->step, paths.optimizer);
    if (status == PARE_OK)
        status = pare_task_load_state(task, paths.task);
    if (status == PARE_OK && average->sums)
        status = pri_weight_average_load(average, paths.average);
    free_paths(&paths);
    return status;
}

/* ---- Writing ---- */

static pare_status write_files(const checkpoint_paths *paths, const pri_training_state *state,
                               const pare_model *model, const pare_task *task,
                               const pri_optimizer *optimizer, const pri_weight_average *average)
{
    PRI_TRY(pri_remove_tree(paths->directory));
    PRI_TRY(pri_make_directories(paths->directory));
    PRI_TRY(pare_model_save_weights(model, paths->model));
    PRI_TRY(pri_optimizer_save(optimizer, state->step, paths->optimizer));
    if (average->sums)
        PRI_TRY(pri_weight_average_save(average, paths->average));
    return pare_task_save_state(task, paths->task);
}

pare_status pri_checkpoint_write(pri_checkpoint *checkpoint, const pri_training_state *state,
                                 const pare_model *model, const pare_task *task,
                                 const pri_optimizer *optimizer, const pri_weight_average *average)
{
    char name[32];
    snprintf(name, sizeof name, "step-%llu", (unsigned long long)state->step);
    checkpoint_paths paths;
    pare_status status = make_paths(checkpoint, name, &paths);
    /* A second checkpoint of one step differs in trainer.json only. */
    if (status == PARE_OK && strcmp(name, checkpoint->current)) {
        status = write_files(&paths, state, model, task, optimizer, average);
        if (status != PARE_OK) /* for want of space, most likely: leave none of it occupied */
            (void)pri_remove_tree(paths.directory);
    }
    free_paths(&paths);
    PRI_TRY(status);
    char previous[sizeof checkpoint->current];
    memcpy(previous, checkpoint->current, sizeof previous);
    memcpy(checkpoint->current, name, sizeof name);
    status = write_trainer(checkpoint, state);
    if (status != PARE_OK) {
        memcpy(checkpoint->current, previous, sizeof previous);
        return status;
    }
    checkpoint->time = pri_clock_seconds();
    return remove_older(checkpoint);
}
