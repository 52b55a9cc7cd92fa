/* SPDX-License-Identifier: MIT */
/* What holds for both timers of a CPU, the virtual and the physical one. */
#ifndef GUEST_TIMER_CHECKS_H
#define GUEST_TIMER_CHECKS_H

#include "timer.h"

/** timer_checks() - report every property of @timer; sets up the interrupt controller itself */
void timer_checks(enum timer timer);

#endif
