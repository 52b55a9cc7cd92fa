/* SPDX-License-Identifier: MIT */
/* Symbols of the link script: bounds of the image's parts, each on a page boundary. */
#ifndef STRATA_IMAGE_H
#define STRATA_IMAGE_H

extern char image_start[], text_end[];
extern char rodata_start[], rodata_end[];
extern char data_start[], data_end[];
extern char bss_start[], bss_end[];
extern char image_end[];
extern char vectors[];

#endif
