/* Everything of Pare. Each room's header is its manual. */
#ifndef PARE_H
#define PARE_H
#include "pare/attention.h"
#include "pare/base.h"
#include "pare/model.h"
#include "pare/nn.h"
#include "pare/pruning.h"
#include "pare/report.h"
#include "pare/sweep.h"
#include "pare/task.h"
#include "pare/text.h"
#include "pare/train.h"
#endif
