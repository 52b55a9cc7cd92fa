/* SPDX-License-Identifier: MIT */
/*
 * How much memory the machine has: the one thing that EL2 reads in the device tree of the boot
 * loader. Format: Devicetree Specification, "Flattened Devicetree (DTB) Format".
 */
#ifndef STRATA_FDT_H
#define STRATA_FDT_H

#include "lib/types.h"

#define FDT_BYTES_MAX MIB(2) /* arm64 boot protocol: no tree is larger */
#define FDT_ALIGN 8

/**
 * fdt_bytes() - size of a device tree by its header
 * @fdt: its first 8 bytes can be read
 *
 * Return: 0 if this is no device tree, not aligned to FDT_ALIGN, or larger than FDT_BYTES_MAX.
 */
u64 fdt_bytes(const void *fdt);

/**
 * fdt_memory_bytes() - bytes of RAM from @base on, as a memory node of a device tree has it
 * @fdt: fdt_bytes() of it can be read, nothing else is taken for granted
 *
 * Return: 0 if this is no device tree, a damaged one, or one without memory at @base.
 */
u64 fdt_memory_bytes(const void *fdt, u64 base);

#endif
