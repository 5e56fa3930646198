/* What `pare bench` measures: one function per kind, with options of its own. */
#ifndef PARE_CLI_BENCH_H
#define PARE_CLI_BENCH_H

int bench_attention(int argument_count, char **argument_values);
int bench_calibrate(int argument_count, char **argument_values);
int bench_compare(int argument_count, char **argument_values);
int bench_model(int argument_count, char **argument_values);
int bench_step(int argument_count, char **argument_values);

#endif
