# SPDX-License-Identifier: MIT
# What is linked with test_X.c: sources of the kit, and files of the layer that X begins with.
HOST_SOURCES_page_alloc := kit/page_alloc.c
HOST_SOURCES_bundle := kit/bundle.c kit/crc.c
HOST_SOURCES_fdt := kit/fdt.c
HOST_SOURCES_console := kit/console.c kit/status.c kit/lib/printf.c
# The kit's functions beside the C library's.
KIT_PRINTF := -Dsnprintf=kit_snprintf -Dvsnprintf=kit_vsnprintf
HOST_CFLAGS_console := $(KIT_PRINTF)
HOST_SOURCES_printf := kit/lib/printf.c
HOST_CFLAGS_printf := $(KIT_PRINTF)
THREADS := -D_GNU_SOURCE -pthread -include grader/host/yielding_locks.h
HOST_LAYER_lab01_run_queue := run_queue.c
HOST_LAYER_lab01_smp := vcpu.c vcpu_entry.c run_queue.c vm.c vm_end.c
HOST_SOURCES_lab01_smp := kit/lib/printf.c
HOST_CFLAGS_lab01_smp := $(KIT_PRINTF) $(THREADS) -include grader/host/no_registers.h
HOST_SANITIZER_lab01_smp := thread
HOST_LAYER_lab01_id_rules := id_rules.c
HOST_LAYER_lab02_pgtable := pgtable.c pgtable_change.c pgtable_formats.c
HOST_LAYER_lab03_vgic := vgic.c vgic_lr.c vgic_overflow.c vgic_registers.c vgic_sgi.c vgic_world.c
HOST_LAYER_lab03_smp := $(HOST_LAYER_lab03_vgic)
HOST_CFLAGS_lab03_smp := $(THREADS)
HOST_SANITIZER_lab03_smp := thread
HOST_CFLAGS_lab04_smp := $(THREADS)
HOST_SANITIZER_lab04_smp := thread
HOST_LAYER_lab06_smp := balance.c
HOST_SOURCES_lab06_smp = $(HOST_SOURCES_lab01_smp) $(addprefix $(call lab_dir,$(IMPL),1)/,$(HOST_LAYER_lab01_smp))
HOST_CFLAGS_lab06_smp = -I$(call lab_dir,$(IMPL),1) $(HOST_CFLAGS_lab01_smp)
HOST_SANITIZER_lab06_smp := thread
HOST_LAYER_lab05_smmu := smmu.c smmu_queue.c smmu_stream.c smmu_space.c smmu_event.c
HOST_SOURCES_lab05_smmu := kit/lib/printf.c
HOST_CFLAGS_lab05_smmu := $(KIT_PRINTF)
HOST_CFLAGS_lab06_vmid := $(THREADS)
HOST_SANITIZER_lab06_vmid := thread

# ---- how they are built and run ------------------------------------------------------------------

# grader/host/test_X.c under ASan and UBSan, or what host.mk says, with the sources that host.mk names. X begins with the lab
# (lab02_pgtable) whose files of IMPL are tested, or means the kit.
HOST_FLAGS = -DNOT_WRITTEN=$(NOT_WRITTEN) -std=c11 -O1 -g $(WARN) -fno-sanitize-recover=all -fno-omit-frame-pointer
HOST := $(BUILD)/host/$(IMPL)
host_layer = $(call lab_dir,$(IMPL),$(patsubst lab0%,%,$(filter lab0%,$(firstword $(subst _, ,$1)))))
HOST_KIT_TESTS := $(filter-out lab0%,$(patsubst grader/host/test_%.c,%,$(sort $(wildcard grader/host/test_*.c))))
# Over the reference's lower layers no test looks at those of labs/, which nobody has written.
HOST_LABS := $(if $(filter reference,$(BASE)),$(LAB),$(call upto,$(LAB)))
HOST_LAB_TESTS := $(foreach n,$(HOST_LABS),$(patsubst grader/host/test_%.c,%,$(sort $(wildcard grader/host/test_lab0$n_*.c))))
HOST_TESTS := $(HOST_KIT_TESTS) $(HOST_LAB_TESTS)
# $1 = test: what is compiled, and how
host_sources = $(HOST_SOURCES_$1) $(addprefix $(call host_layer,$1)/,$(HOST_LAYER_$1))
# The status of a test that came to an exercise that is not written.
NOT_WRITTEN := 77
HOST_UNWRITTEN := -include grader/host/unwritten.h
MEMORY_SANITIZERS := address,undefined
host_cflags = -fsanitize=$(or $(HOST_SANITIZER_$1),$(MEMORY_SANITIZERS)) $(HOST_CFLAGS_$1) $(if $(filter lab0%,$1),-I$(call host_layer,$1) $(if $(filter labs,$(IMPL)),$(UNWRITTEN) $(HOST_UNWRITTEN)))
# What a test may include: a compiler that gets several sources at a time tells of one alone.
host_reads = $(wildcard kit/*.h kit/*/*.h grader/host/*.h $(if $(filter lab0%,$1),$(call host_layer,$1)/*.[ch]))
$(HOST)/host.flags: FORCE | ready
	$(call keep,$(HOSTCC) $(HOST_FLAGS) $(foreach x,$(HOST_TESTS),$(call host_sources,$x) $(call host_cflags,$x)))
$(HOST)/seed.flags: FORCE
	$(call keep,$(SEED) $(FULL))
define host_rule
$(HOST)/test_$1: grader/host/test_$1.c grader/host/todo.c $(call host_sources,$1) $(HOST)/host.flags $(HOST)/seed.flags $(call host_reads,$1)
	$$(call say,HOSTCC,$$@)
	$$(Q)$$(HOSTCC) $$(HOST_FLAGS) $(call host_cflags,$1) -Igrader/host -Ikit -o $$@ $$(wordlist 1,2,$$^) $(call host_sources,$1)
endef
$(foreach x,$(HOST_TESTS),$(eval $(call host_rule,$x)))

.PHONY: unit models
# $1 = unit tests; one that passed is run again when it was made anew
run_unit = @status=0; for t in $1; do \
		if ! [ $(HOST)/test_$$t.ok -nt $(HOST)/test_$$t ]; then \
			if $(if $(SEED),STRATA_SEED=$(call quoted,$(SEED))) $(if $(FULL),STRATA_COMMANDS=30000) $(HOST)/test_$$t > $(HOST)/test_$$t.log 2>&1; \
			then touch $(HOST)/test_$$t.ok; else [ $$? = $(NOT_WRITTEN) ] || status=1; fi; \
		fi; \
		printf '  %-16s ' $$t; tail -n 24 $(HOST)/test_$$t.log; \
	done; exit $$status

unit: $(HOST_TESTS:%=$(HOST)/test_%) ## (LAB=2 [IMPL=labs FULL=1]) what of a lab can be tested without the machine, under sanitizers
	$(call run_unit,$(HOST_TESTS))

# ---- models of protocols between CPUs --------------------------------------------------------------

MODELS := $(patsubst grader/models/%.pml,%,$(sort $(wildcard grader/models/*.pml)))
$(BUILD)/models/%.ok: grader/models/%.pml grader/proof/models.py | ready
	$(Q)$(PYTHON) -m grader.proof.models --build '$(BUILD)' $<
	@touch $@
models: $(MODELS:%=$(BUILD)/models/%.ok) ## search all orders in which CPUs can take the steps of their protocols (spin)
