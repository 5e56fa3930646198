/* Whether a call makes sense. Cheap: a few comparisons per sequence. */
#ifndef PARE_SRC_ATTENTION_CHECK_H
#define PARE_SRC_ATTENTION_CHECK_H

#include "base/status.h"
#include "pare/attention.h"

pare_status pri_attention_check(const pare_attention *call);
pare_status pri_attention_check_backward(const pare_attention *call, bool has_output_gradient);

#endif
