# SPDX-License-Identifier: MIT
# What is linked with test_X.c: sources of the kit, and files of the layer that X begins with.
HOST_SOURCES_page_alloc := kit/page_alloc.c
HOST_SOURCES_bundle := kit/bundle.c kit/crc.c
HOST_SOURCES_fdt := kit/fdt.c
HOST_SOURCES_console := kit/console.c kit/lib/printf.c
# The kit's functions beside the C library's.
KIT_PRINTF := -Dsnprintf=kit_snprintf -Dvsnprintf=kit_vsnprintf
HOST_CFLAGS_console := $(KIT_PRINTF)
HOST_SOURCES_printf := kit/lib/printf.c
HOST_CFLAGS_printf := $(KIT_PRINTF)
THREADS := -D_GNU_SOURCE -pthread -include grader/host/yielding_locks.h
HOST_LAYER_lab01_run_queue := run_queue.c
HOST_LAYER_lab01_smp := vcpu.c run_queue.c vm.c vm_end.c
HOST_SOURCES_lab01_smp := kit/lib/printf.c
HOST_CFLAGS_lab01_smp := $(KIT_PRINTF) $(THREADS)
HOST_SANITIZER_lab01_smp := thread
HOST_LAYER_lab01_id_rules := id_rules.c
HOST_LAYER_lab02_pgtable := pgtable.c pgtable_change.c pgtable_formats.c
HOST_LAYER_lab03_vgic := vgic.c vgic_lr.c vgic_overflow.c vgic_registers.c
HOST_CFLAGS_lab04_smp := $(THREADS)
HOST_SANITIZER_lab04_smp := thread
