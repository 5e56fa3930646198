/* Progress with rate and time left. A new label starts a new line; events come often, so all but
 * the last of a label are dropped when the previous one was shown a moment ago. */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "command.h"

#define TERMINAL_SECONDS 0.1
#define PLAIN_SECONDS 10.0
#define BAR_CELLS 20

static struct {
    bool terminal, line_open;
    char label[128];
    double shown_at; /* in seconds of the work shown last */
} state;

static size_t terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20)
        return 80;
    return size.ws_col;
}

static void describe_rate(const pare_progress_event *event, char *text, size_t capacity)
{
    uint64_t done = event->done - event->done_at_start;
    double rate = event->seconds > 0 ? (double)done / event->seconds : 0;
    text[0] = 0;
    if (rate <= 0)
        return;
    int length = snprintf(text, capacity, "%s %s/s", format_count((uint64_t)(rate + 0.5)),
                          event->unit ? event->unit : "");
    if (event->total > event->done)
        snprintf(text + length, capacity - (size_t)length, ", %s left",
                 format_duration((double)(event->total - event->done) / rate));
    else
        snprintf(text + length, capacity - (size_t)length, ", %s", format_duration(event->seconds));
}

static void show_on_terminal(const pare_progress_event *event, const char *rate)
{
    char bar[BAR_CELLS * 4 + 1] = "", line[512];
    double share = event->total ? (double)event->done / (double)event->total : 0;
    for (int i = 0; i < BAR_CELLS; i++)
        strcat(bar, i < (int)(share * BAR_CELLS + 0.5) ? "━" : "╌");
    snprintf(line, sizeof line, "%3.0f%%  %s  %s", 100 * share, rate,
             event->note ? event->note : "");
    size_t used = strlen(event->label) + BAR_CELLS + 3, width = terminal_width();
    int room = width > used + 1 ? (int)(width - used - 1) : 0;
    fprintf(stderr, "\r\033[K%s %s %.*s", event->label, bar, room, line);
    state.line_open = true;
}

static void show_plain(const pare_progress_event *event, const char *rate)
{
    fprintf(stderr, "%s: ", event->label);
    if (event->total)
        fprintf(stderr, "%.0f%%", 100 * (double)event->done / (double)event->total);
    else
        fprintf(stderr, "%s %s", format_count(event->done), event->unit ? event->unit : "");
    fprintf(stderr, "%s%s%s%s\n", *rate ? ", " : "", rate, event->note ? ", " : "",
            event->note ? event->note : "");
}

static void show(void *user, const pare_progress_event *event)
{
    (void)user;
    bool new_label = strcmp(state.label, event->label);
    bool last = event->total && event->done >= event->total;
    double pause = state.terminal ? TERMINAL_SECONDS : PLAIN_SECONDS;
    if (new_label) {
        progress_end();
        snprintf(state.label, sizeof state.label, "%s", event->label);
        state.shown_at = 0;
    }
    bool due = event->seconds - state.shown_at >= pause || (new_label && state.terminal);
    if (!due && !last)
        return;
    char rate[96];
    describe_rate(event, rate, sizeof rate);
    state.shown_at = event->seconds;
    if (state.terminal)
        show_on_terminal(event, rate);
    else
        show_plain(event, rate);
    if (last)
        progress_end();
}

void progress_end(void)
{
    if (state.line_open)
        fprintf(stderr, "\n");
    state.line_open = false;
    state.label[0] = 0;
}

pare_progress progress_begin(bool quiet)
{
    state.terminal = isatty(STDERR_FILENO);
    return (pare_progress){.report = quiet ? NULL : show};
}
