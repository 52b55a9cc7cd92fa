/* SPDX-License-Identifier: MIT */
/* A machine goes on without an exercise that can wait; a unit test of it does not. Included first. */
#ifndef STRATA_HOST_UNWRITTEN_H
#define STRATA_HOST_UNWRITTEN_H

#include "exercise.h"

#undef NOT_YET
#define NOT_YET(id) TODO(id)

#endif
