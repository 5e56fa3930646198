#ifndef PARE_SRC_REPORT_RESULTS_H
#define PARE_SRC_REPORT_RESULTS_H

#include "pare/report.h"

/* pare_results_load from memory; `name` stands for the file in messages. */
pare_status pri_results_parse(const char *data, size_t size, const char *name,
                              pare_results *results);

#endif
