/* SPDX-License-Identifier: MIT */
/* The end of the machine. Nothing stands below: whoever fails may call it. */
#ifndef STRATA_POWER_H
#define STRATA_POWER_H

/** machine_tell_failure() - let QEMU end with status 1; needs a stack and PCI, at EL1 too */
void machine_tell_failure(void);

/** machine_off() - power the machine off; QEMU exits with @status 0 or 1 */
void machine_off(unsigned status) __attribute__((noreturn));

#endif
