# SPDX-License-Identifier: MIT
HOST_SOURCES_page_alloc := kit/page_alloc.c
HOST_SOURCES_bundle := kit/bundle.c kit/crc.c
HOST_SOURCES_console := kit/console.c kit/lib/printf.c
# The kit's functions beside the C library's.
KIT_PRINTF := -Dsnprintf=kit_snprintf -Dvsnprintf=kit_vsnprintf
HOST_CFLAGS_console := $(KIT_PRINTF)
HOST_SOURCES_printf := kit/lib/printf.c
HOST_CFLAGS_printf := $(KIT_PRINTF)
HOST_SOURCES_deadline := solution/lab04-vtimer/deadline.c
HOST_CFLAGS_deadline := -Isolution/lab04-vtimer
HOST_SOURCES_run_queue := solution/lab01-el2-boot/run_queue.c
HOST_CFLAGS_run_queue := -Isolution/lab01-el2-boot
HOST_SOURCES_pgtable := solution/lab02-stage2/pgtable.c solution/lab02-stage2/pgtable_change.c \
	solution/lab02-stage2/pgtable_formats.c
HOST_CFLAGS_pgtable := -Isolution/lab02-stage2
HOST_CFLAGS_mmio := -Isolution/lab02-stage2
HOST_SOURCES_vgic := solution/lab03-vgic/vgic.c solution/lab03-vgic/vgic_lr.c \
	solution/lab03-vgic/vgic_overflow.c solution/lab03-vgic/vgic_registers.c
HOST_CFLAGS_vgic := -Isolution/lab03-vgic
