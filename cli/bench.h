/* What `pare bench` measures; each is one file with its own options. */
#ifndef PARE_CLI_BENCH_H
#define PARE_CLI_BENCH_H

int bench_attention(int argument_count, char **arguments);
int bench_model(int argument_count, char **arguments);

#endif
