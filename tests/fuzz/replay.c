/* Runs a fuzz target over stored inputs: every file of the directories named on the command line,
 * and the empty input. Replays former crashes without a fuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return 1;
    uint8_t *data = NULL;
    size_t size = 0, capacity = 0;
    do {
        if (size == capacity) {
            capacity = capacity ? 2 * capacity : 4096;
            uint8_t *larger = realloc(data, capacity);
            if (!larger)
                abort();
            data = larger;
        }
        size += fread(data + size, 1, capacity - size, file);
    } while (size == capacity);
    fclose(file);
    /* A block of exactly this size, so that a sanitizer sees the first byte read past the end. */
    uint8_t *input = malloc(size ? size : 1);
    if (!input)
        abort();
    memcpy(input, data, size);
    free(data);
    LLVMFuzzerTestOneInput(input, size);
    free(input);
    return 0;
}

int main(int count, char **arguments)
{
    size_t replayed = 0;
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < count; i++) {
        DIR *directory = opendir(arguments[i]);
        if (!directory) {
            fprintf(stderr, "%s: no such corpus directory\n", arguments[i]);
            return 1;
        }
        for (struct dirent *entry; (entry = readdir(directory));) {
            char path[4096];
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", arguments[i], entry->d_name);
            if (replay_file(path)) {
                fprintf(stderr, "%s: cannot be read\n", path);
                return 1;
            }
            replayed++;
        }
        closedir(directory);
    }
    printf("%zu inputs replayed\n", replayed);
    return 0;
}
