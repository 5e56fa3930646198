/* A program of a user, in C and in C++ alike: creates a context from the installed library. */
#include <pare/pare.h>
#include <stdio.h>

int main(void)
{
    pare_context *context;
    if (pare_context_create(NULL, &context) != PARE_OK) {
        fprintf(stderr, "%s\n", pare_error_message());
        return 1;
    }
    printf("pare %s at %s\n", PARE_VERSION, pare_level_name(pare_context_level(context)));
    pare_context_destroy(context);
    return 0;
}
