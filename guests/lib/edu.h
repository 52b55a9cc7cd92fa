/* SPDX-License-Identifier: MIT */
/*
 * DMA of QEMU's edu device. A transfer takes 100 ms whatever its size, and always ends well by what
 * the device says: whether it did is seen in memory.
 */
#ifndef GUEST_EDU_H
#define GUEST_EDU_H

#include "lib/types.h"

/** struct edu - one of the VM's devices; config and bar are addresses of its registers */
struct edu {
	u64 config;
	u64 bar;
};

/** edu_open() - find the first one from @slot on and let it be a bus master; bar 0: there is none */
struct edu edu_open(u32 slot);

/** edu_sleep_until() - WFI until the virtual count is @count; the virtual timer's interrupt is used up */
void edu_sleep_until(u64 count);

/** edu_start() - begin a transfer; both EDU_BUFFER and RAM addresses are the device's */
void edu_start(const struct edu *edu, u64 source, u64 destination, u64 bytes, u64 flags);

/** edu_wait() - sleep until the transfer is over */
void edu_wait(const struct edu *edu);

/** edu_read() - the device reads @bytes at @address into its buffer */
void edu_read(const struct edu *edu, u64 address, u64 bytes);

/** edu_write() - the device writes @bytes of its buffer to @address */
void edu_write(const struct edu *edu, u64 address, u64 bytes);

#endif
