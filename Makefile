# SPDX-License-Identifier: MIT
#
# The only entry point that people type. A bare `make` prints the targets below with their comments.
# Layout of the output, all of it under $(BUILD):
#   obj/            one object a source file, shared by the images of all labs
#   <impl>-labNN/   strata.elf (symbols), strata.bin (what the machine boots), strata.map
#   guests/         probes and demos;  linux/  Debian's kernel and an initramfs;  host/  unit tests
# Nothing outside $(BUILD) is written. Flags and object lists are kept in *.flags files: an object is
# rebuilt when its source, a header, or the command that made it changes.

MAKEFLAGS += --no-builtin-rules --no-builtin-variables --no-print-directory
SHELL := /bin/sh
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := help

HANDOUT := $(if $(wildcard solution/.),,1)

## Variables (make TARGET NAME=value):
BUILD ?= build
IMPL ?= $(if $(HANDOUT),labs,solution)
BASE ?= own
GIC ?= 3
CPU ?= cortex-a76
SMP ?= 1
MEM ?=
QEMU ?= qemu-system-aarch64
QEMU_EXTRA ?=
VMS ?=
ICOUNT ?= 0
APPEND ?=
KERNEL ?=
INITRD ?=
GUEST ?=
TEST ?=
SEED ?=
TESTS ?= $(if $(HANDOUT),$(filter-out grader/tests/lab%,$(wildcard grader/tests/*/test_*.py)),grader/tests)
PYTEST_ARGS ?=
V ?= 0

# ---- an unknown value is an error, never a default -----------------------------------------------

# A value as one word of the shell, and as one name in a list of files.
quoted = '$(subst ','\'',$1)'
empty :=
one_name = $(subst $(empty) ,\ ,$1)

labs_in = $(sort $(foreach n,1 2 3 4 5 6,$(if $(wildcard $1/lab0$n-*/.),$n)))
accept = $(if $(and $(filter $2,$($1)),$(filter 1,$(words $($1)))),,$(error $1=$($1) is not accepted; $1 takes: $(or $3,$2)))

$(call accept,IMPL,solution labs)
$(call accept,BASE,own reference)
LAB ?= $(or $(lastword $(call labs_in,$(IMPL))),1)
$(call accept,LAB,1 2 3 4 5 6)
$(call accept,GIC,2 3)
$(call accept,CPU,cortex-a35 cortex-a53 cortex-a57 cortex-a72 cortex-a76 neoverse-n1 max)
$(call accept,SMP,1 2 3 4 5 6 7 8)
$(call accept,ICOUNT,0 1)
$(call accept,V,0 1)
ifneq ($(MEM),)
$(if $(and $(filter %M %G,$(MEM)),$(filter 1,$(words $(MEM)))),,$(error MEM=$(MEM) is not accepted; MEM takes a number with M or G: 768M, 2G))
endif
ifneq ($(QEMU),qemu-system-aarch64)
$(if $(shell set -- $(QEMU); command -v "$$1"),,$(error QEMU=$(QEMU): no such program; QEMU takes a program of QEMU 7.2 or newer, with arguments if it needs any))
endif
ifneq ($(BUILD),build)
$(if $(shell case $(call quoted,$(BUILD)) in (*[[:space:]\"\'\$$%:\;*?\&\|\<\>\\]*) ;; (?*) echo good ;; esac),,$(error BUILD=$(BUILD) is not accepted; BUILD takes a path without spaces, quotes and other characters that mean something to make or a shell))
endif
a_file = $(if $($1),$(if $(shell test -e $(call quoted,$($1)) && echo yes),,$(error $1=$($1): no such file; $1 takes the path of $2)))
$(call a_file,VMS,a vms.toml as docs/vms-toml.md describes)
$(call a_file,KERNEL,an arm64 Image)
$(call a_file,INITRD,an initramfs)
$(call a_file,GUEST,an ELF file of what runs in the VMs)

lab_dir = $(patsubst %/.,%,$(wildcard $1/lab0$2-*/.))
upto = $(wordlist 1,$1,1 2 3 4 5 6)
# $1 = tree, $2 = highest lab, $3 = BASE: the directories of an image, lowest first. A handout has no
# solution/: there a layer of the reference is an archive.
layer_tree = $(if $(and $(filter reference,$3),$(filter-out $2,$n)),solution,$1)
layer_dir = $(or $(call lab_dir,$(layer_tree),$n),$(if $(filter solution,$(layer_tree)),$(wildcard handout/reference/lab0$n.a)))
image_dirs = $(foreach n,$(call upto,$2),$(layer_dir))
missing_dirs = $(strip $(foreach n,$(call upto,$2),$(if $(layer_dir),,$(layer_tree)/lab0$n-*)))

instructors_goals = $(filter grader-check grade-class starters starters-check transcripts handout,$(MAKECMDGOALS))
ifneq ($(and $(HANDOUT),$(instructors_goals)),)
$(error $(instructors_goals): this is a handout, which has no solution/ to do that with)
endif

ifneq ($(filter run debug map listing image test unit measure,$(MAKECMDGOALS)),)
ifneq ($(call missing_dirs,$(IMPL),$(LAB),$(BASE)),)
$(error LAB=$(LAB) IMPL=$(IMPL) needs $(call missing_dirs,$(IMPL),$(LAB),$(BASE)), which does not exist; LAB takes: $(or $(call labs_in,$(IMPL)),none yet))
endif
endif

# ---- tools, looked up when first used, so that the doctor can install them before ------------------

find_cross = $(shell for p in aarch64-none-elf- aarch64-linux-gnu-; do command -v $${p}gcc >/dev/null && echo $$p && break; done)
CROSS = $(eval CROSS := $(find_cross))$(CROSS)
PYTHON = $(eval PYTHON := $(shell tools/doctor --python))$(PYTHON)
CC = $(CROSS)gcc
OBJCOPY = $(CROSS)objcopy
HOSTCC = gcc
Q := $(if $(filter 0,$(V)),@)
say = $(if $(filter 0,$(V)),@printf '  %-6s %s\n' '$1' '$2')
export PYTHONDONTWRITEBYTECODE := 1

# ---- flags ---------------------------------------------------------------------------------------

# A handler need not look at all that it is given.
WARN := -Wall -Wextra -Werror -Wno-unused-parameter
FREESTANDING := -ffreestanding -fno-common -fno-pic -fno-pie -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fno-unwind-tables -mno-outline-atomics -mstrict-align
# Sources are named from this directory on: an object is the same wherever it is made.
DEBUGINFO := -g $(call quoted,-ffile-prefix-map=$(CURDIR)=.)
# The tables that the linker collects end in a symbol of their own, which gcc takes for an array to
# be indexed from: hence -Wno-array-bounds.
C_FLAGS := -std=c11 -fasm -O2 -fomit-frame-pointer -fno-section-anchors $(FREESTANDING) -mgeneral-regs-only -march=armv8-a+crc \
	$(WARN) -Wno-array-bounds $(DEBUGINFO)
# An exercise that is not written yet uses no helpers and tables that it was given.
UNWRITTEN := -Wno-unused-function -Wno-unused-const-variable
S_FLAGS := -march=armv8-a+crc -D__ASSEMBLY__ $(WARN) $(DEBUGINFO)
LD_FLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,--fatal-warnings \
	-Wl,--no-warn-rwx-segments -Wl,-z,noexecstack -Wl,-z,max-page-size=4096

OBJ := $(BUILD)/obj
objects = $(patsubst %,$(OBJ)/%.o,$1)

# $(call keep,text): writes the text into the target when it differs, so that what depends on it is
# made again exactly when the text changes.
keep = @mkdir -p $(@D); printf '%s\n' $(call quoted,$1) | cmp -s - $@ || printf '%s\n' $(call quoted,$1) > $@

.PHONY: FORCE ready
FORCE:
export QEMU
# What the goals need, as the doctor calls it: what runs tests needs all, and a text needs Python alone.
NEED_TEST := test lint measure format unit grade why grader-check grade-class starters starters-check handout transcripts
NEED_PYTHON := hint submit
need = $(if $(filter $(NEED_TEST) $(if $(TEST),debug),$(MAKECMDGOALS)),test,$(if $(filter debug,$(MAKECMDGOALS)),debug,$(if $(filter-out $(NEED_PYTHON),$(MAKECMDGOALS)),run,python)))
ready:
	@tools/doctor --quiet --for $(need)

$(OBJ)/c.flags: FORCE | ready
	$(call keep,$(CC) $(C_FLAGS) $(shell $(CC) -dumpfullversion))
$(OBJ)/s.flags: FORCE | ready
	$(call keep,$(CC) $(S_FLAGS) $(shell $(CC) -dumpfullversion))

# ---- the hypervisor ------------------------------------------------------------------------------

ASM_OFFSETS := $(if $(wildcard kit/asm_offsets.c),$(OBJ)/asm/asm_offsets.h)

# The offsets that assembly needs are taken from the compiler's own output, never counted by hand:
# each line `.ascii "->NAME VALUE"` of the compiled kit/asm_offsets.c becomes a #define.
$(OBJ)/asm/asm_offsets.h: kit/asm_offsets.c $(OBJ)/c.flags
	$(call say,OFFSET,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) -Ikit -MMD -MP -MF $(@D)/asm_offsets.d -MT $@ -S -o $(@D)/asm_offsets.s $<
	$(Q)sed -n 's/.*"->\([A-Za-z_0-9]*\) [#$$]*\(-\{0,1\}[0-9]*\).*/#define \1 \2/p' $(@D)/asm_offsets.s > $@

LDS := $(or $(firstword $(wildcard kit/strata.lds.S kit/strata.lds)),kit/strata.lds)
ifeq ($(LDS),kit/strata.lds.S)
LINK_SCRIPT := $(OBJ)/strata.lds
$(LINK_SCRIPT): $(LDS) $(OBJ)/s.flags $(ASM_OFFSETS)
	$(call say,CPP,$@)
	$(Q)$(CC) -E -P -x assembler-with-cpp -D__ASSEMBLY__ -Ikit -I$(OBJ)/asm -MMD -MP -MF $@.d -MT $@ -o $@ $<
else
LINK_SCRIPT := $(LDS)
endif

$(OBJ)/%.c.o: %.c $(OBJ)/c.flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) $(INCLUDES) -MMD -MP -MF $@.d -c -o $@ $<
$(OBJ)/%.S.o: %.S $(OBJ)/s.flags $(ASM_OFFSETS)
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(S_FLAGS) $(INCLUDES) -I$(OBJ)/asm -MMD -MP -MF $@.d -c -o $@ $<

# A source sees the kit and its own directory: layers meet in the kit's headers only.
INCLUDES = -Ikit -I$(patsubst %/,%,$(dir $<))

KIT_SOURCES := $(sort $(filter-out kit/asm_offsets.c %.lds.S,$(wildcard kit/*.c kit/*.S kit/*/*.c kit/*/*.S)))
sources_of = $(sort $(foreach d,$1,$(wildcard $d/*.c $d/*.S)))

# $1 = output directory below BUILD, $2 = source directories: one image
define image_rule
$(BUILD)/$1/link.flags: FORCE | ready
	$$(call keep,$$(CC) $$(LD_FLAGS) $$(LINK_SCRIPT) $$(call objects,$(KIT_SOURCES) $(call sources_of,$2)) $(filter %.a,$2))
$(BUILD)/$1/strata.elf: $$(call objects,$(KIT_SOURCES) $(call sources_of,$2)) $(filter %.a,$2) $$(LINK_SCRIPT) $(BUILD)/$1/link.flags
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(LD_FLAGS) -T $$(LINK_SCRIPT) -Wl,-Map=$(BUILD)/$1/strata.map -o $$@ $$(filter %.o,$$^) \
		-Wl,--whole-archive $$(filter %.a,$$^) -Wl,--no-whole-archive
$(BUILD)/$1/strata.bin: $(BUILD)/$1/strata.elf
	$$(call say,BIN,$$@)
	$$(Q)$$(OBJCOPY) -O binary $$< $$@
ALL_SOURCES += $(call sources_of,$2)
endef

image_name = $1-lab0$2$(if $(filter reference,$3),-reference)
IMAGE_DIR := $(BUILD)/$(call image_name,$(IMPL),$(LAB),$(BASE))
IMAGE := $(IMAGE_DIR)/strata.bin
ALL_SOURCES := $(KIT_SOURCES)
$(foreach t,solution labs,$(foreach n,$(call labs_in,$t),\
	$(eval $(call image_rule,$(call image_name,$t,$n,own),$(call image_dirs,$t,$n,own)))))
$(if $(filter reference,$(BASE)),$(eval $(call image_rule,$(call image_name,$(IMPL),$(LAB),$(BASE)),$(call image_dirs,$(IMPL),$(LAB),$(BASE)))))

.PHONY: image images
image: $(IMAGE)
images: $(foreach n,$(call labs_in,$(IMPL)),$(BUILD)/$(call image_name,$(IMPL),$n,own)/strata.bin)

# ---- guests --------------------------------------------------------------------------------------

# A guest runs wherever its VM's RAM is. Its code reaches everything relative to the PC; that no datum
# holds an address is what linking it as PIE shows: guest.lds refuses relocations.
GUEST_LIB := $(sort $(filter-out %.lds.S,$(wildcard guests/lib/*.c guests/lib/*.S)) $(wildcard kit/lib/*.c))
GUEST_LDS := guests/lib/guest.lds
GUEST_MAINS := $(sort $(wildcard guests/probes/*.c guests/probes/*.S guests/bench/*.c guests/bench/*.S guests/demos/*.c))
GUESTS := $(sort $(basename $(notdir $(GUEST_MAINS))))
ifneq ($(words $(GUESTS)),$(words $(GUEST_MAINS)))
$(error two guests have the same name: $(sort $(GUEST_MAINS)))
endif

GUEST_FLAGS := -Iguests/lib -Ikit
GUEST_LD_FLAGS := $(LD_FLAGS:-no-pie=-Wl,-pie) -Wl,--no-dynamic-linker

$(OBJ)/guest.flags: FORCE | ready
	$(call keep,$(GUEST_FLAGS))
$(OBJ)/guest/%.c.o: %.c $(OBJ)/c.flags $(OBJ)/guest.flags
	$(call say,CC,$< (guest))
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) $(GUEST_FLAGS) -MMD -MP -MF $@.d -c -o $@ $<
$(OBJ)/guest/%.S.o: %.S $(OBJ)/s.flags $(OBJ)/guest.flags
	$(call say,AS,$< (guest))
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(S_FLAGS) $(GUEST_FLAGS) -MMD -MP -MF $@.d -c -o $@ $<
$(BUILD)/guests/link.flags: FORCE | ready
	$(call keep,$(CC) $(GUEST_LD_FLAGS) $(GUEST_LDS) $(GUEST_LIB))
# An archive, so that a guest holds the parts of the runtime that it uses and no others.
$(BUILD)/guests/libguest.a: $(patsubst %,$(OBJ)/guest/%.o,$(GUEST_LIB)) $(BUILD)/guests/link.flags
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(CROSS)ar rcsD $@ $(filter %.o,$^)
define guest_rule
$(BUILD)/guests/$(basename $(notdir $1)).elf: $(OBJ)/guest/$1.o $(BUILD)/guests/libguest.a $(GUEST_LDS) $(BUILD)/guests/link.flags
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(GUEST_LD_FLAGS) -Wl,-u,_start -T $$(GUEST_LDS) -Wl,-Map=$$(@:.elf=.map) -o $$@ $$(filter %.o %.a,$$^)
endef
$(foreach g,$(GUEST_MAINS),$(eval $(call guest_rule,$g)))
$(BUILD)/guests/%.bin: $(BUILD)/guests/%.elf
	$(Q)$(OBJCOPY) -O binary $< $@
$(BUILD)/guests/%.toml: guests/demos/%.toml
	@mkdir -p $(@D)
	$(Q)cp $< $@
# A probe alone: make debug LAB=2 VMS=build/guests/mmio_decode.toml
$(BUILD)/guests/%.toml: $(BUILD)/guests/%.bin
	$(Q)printf '[[vm]]\nname = "probe"\nmemory = "16M"\nkernel = "%s"\n' $(<F) > $@

.PHONY: guests
guests: $(GUESTS:%=$(BUILD)/guests/%.bin) $(GUESTS:%=$(BUILD)/guests/%.toml) $(patsubst guests/demos/%,$(BUILD)/guests/%,$(wildcard guests/demos/*.toml))

# ---- Linux for the guests ------------------------------------------------------------------------

LINUX_FILES := $(BUILD)/linux/Image $(BUILD)/linux/initramfs.cpio.gz
.PHONY: linux
linux: $(BUILD)/linux/vms.toml $(BUILD)/linux/debugger
$(BUILD)/linux/source.flags: FORCE
	$(call keep,KERNEL=$(KERNEL) INITRD=$(INITRD))
$(BUILD)/linux/vms.toml: guests/linux/vms.toml guests/linux/fetch.py guests/linux/init $(BUILD)/linux/source.flags $(call one_name,$(KERNEL)) $(call one_name,$(INITRD)) | ready
	$(Q)$(PYTHON) -m guests.linux.fetch --out $(@D) $(if $(KERNEL),--kernel $(call quoted,$(KERNEL))) $(if $(INITRD),--initrd $(call quoted,$(INITRD)))
	$(Q)cp $< $@

# Firmware for a guest, fetched in the same way.
.PHONY: uboot
uboot: $(BUILD)/uboot/vms.toml ## Debian's U-Boot as a guest: make run VMS=$(BUILD)/uboot/vms.toml
$(BUILD)/uboot/vms.toml: guests/uboot/vms.toml guests/uboot/fetch.py | ready
	$(Q)$(PYTHON) -m guests.uboot.fetch --out $(@D)
	$(Q)cp $< $@

# A debugger that is the only process of its Linux, for a test.
$(BUILD)/linux/debugger: guests/linux/debugger.c kit/lib/string.c kit/lib/types.h $(OBJ)/c.flags
	$(call say,CC,$< (Linux))
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) -Ikit -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -o $@ $(filter %.c,$^)

# ---- unit tests on the host ----------------------------------------------------------------------

# grader/host/test_X.c under ASan and UBSan, or what host.mk says, with the sources that host.mk names. X begins with the lab
# (lab02_pgtable) whose files of IMPL are tested, or means the kit.
-include grader/host/host.mk
HOST_FLAGS := -std=c11 -O1 -g $(WARN) -fno-sanitize-recover=all -fno-omit-frame-pointer
HOST := $(BUILD)/host/$(IMPL)
host_layer = $(call lab_dir,$(IMPL),$(patsubst lab0%,%,$(filter lab0%,$(firstword $(subst _, ,$1)))))
HOST_KIT_TESTS := $(filter-out lab0%,$(patsubst grader/host/test_%.c,%,$(sort $(wildcard grader/host/test_*.c))))
HOST_LAB_TESTS := $(foreach n,$(call upto,$(LAB)),$(patsubst grader/host/test_%.c,%,$(sort $(wildcard grader/host/test_lab0$n_*.c))))
HOST_TESTS := $(HOST_KIT_TESTS) $(HOST_LAB_TESTS)
# $1 = test: what is compiled, and how
host_sources = $(HOST_SOURCES_$1) $(addprefix $(call host_layer,$1)/,$(HOST_LAYER_$1))
MEMORY_SANITIZERS := address,undefined
host_cflags = -fsanitize=$(or $(HOST_SANITIZER_$1),$(MEMORY_SANITIZERS)) $(HOST_CFLAGS_$1) $(if $(filter lab0%,$1),-I$(call host_layer,$1) $(if $(filter labs,$(IMPL)),$(UNWRITTEN)))
# What a test may include: a compiler that gets several sources at a time tells of one alone.
host_reads = $(wildcard kit/*.h kit/*/*.h grader/host/*.h $(if $(filter lab0%,$1),$(call host_layer,$1)/*.[ch]))
$(HOST)/host.flags: FORCE | ready
	$(call keep,$(HOSTCC) $(HOST_FLAGS) $(foreach x,$(HOST_TESTS),$(call host_sources,$x) $(call host_cflags,$x)))
$(HOST)/seed.flags: FORCE
	$(call keep,$(SEED))
define host_rule
$(HOST)/test_$1: grader/host/test_$1.c grader/host/todo.c $(call host_sources,$1) $(HOST)/host.flags $(HOST)/seed.flags $(call host_reads,$1)
	$$(call say,HOSTCC,$$@)
	$$(Q)$$(HOSTCC) $$(HOST_FLAGS) $(call host_cflags,$1) -Igrader/host -Ikit -o $$@ $$(wordlist 1,2,$$^) $(call host_sources,$1)
endef
$(foreach x,$(HOST_TESTS),$(eval $(call host_rule,$x)))

# ---- what people type ----------------------------------------------------------------------------

# Images without the timer layer cannot run Linux: they get the guests that show what their layer adds.
DEFAULT_VMS := $(if $(filter 1 2 3,$(LAB)),$(BUILD)/guests/lab0$(LAB).toml,$(BUILD)/linux/vms.toml)
RUN_VMS := $(or $(VMS),$(DEFAULT_VMS))
DEMO_GUESTS = $(shell sed -n 's,^kernel = "\(.*\)",$(BUILD)/guests/\1,p' guests/demos/lab0$(LAB).toml)
RUN_NEEDS := $(IMAGE) $(if $(VMS),,$(if $(filter 1 2 3,$(LAB)),$(DEFAULT_VMS) $(DEMO_GUESTS),linux))
MACHINE = --qemu $(call quoted,$(QEMU)) --cpu $(CPU) --gic $(GIC) --smp $(SMP) $(if $(MEM),--memory $(MEM)) \
	$(if $(filter 1,$(ICOUNT)),--icount) $(if $(QEMU_EXTRA),--extra=$(call quoted,$(QEMU_EXTRA)))
GUEST_TEXT = $(if $(APPEND),--append $(call quoted,$(APPEND))) $(if $(SEED),--seed $(call quoted,$(SEED)))

TEST_ENVIRONMENT = $(if $(FULL),STRATA_FULL=1) STRATA_BUILD='$(BUILD)' STRATA_IMPL='$(IMPL)' STRATA_BASE='$(BASE)' STRATA_QEMU=$(call quoted,$(QEMU)) $(if $(SEED),STRATA_SEED=$(call quoted,$(SEED)))

.PHONY: run test lint unit doctor debug map measure format clean help
run: $(RUN_NEEDS) ## boot the VMs of VMS= (default: two Debian Linux VMs) under the hypervisor
	$(Q)$(PYTHON) -m tools.run $(MACHINE) --lab $(LAB) --image $(IMAGE) $(GUEST_TEXT) --out $(IMAGE_DIR) $(call quoted,$(RUN_VMS))

# $1 = unit tests; one that passed is run again when it was made anew
run_unit = @status=0; for t in $1; do \
		if ! [ $(HOST)/test_$$t.ok -nt $(HOST)/test_$$t ]; then \
			if $(if $(SEED),STRATA_SEED=$(call quoted,$(SEED))) $(HOST)/test_$$t > $(HOST)/test_$$t.log 2>&1; \
			then touch $(HOST)/test_$$t.ok; else status=1; fi; \
		fi; \
		printf '  %-16s ' $$t; tail -n 12 $(HOST)/test_$$t.log; \
	done; exit $$status

unit: $(HOST_TESTS:%=$(HOST)/test_%) ## (LAB=2 [IMPL=labs]) what of a lab can be tested without the machine, under sanitizers
	$(call run_unit,$(HOST_TESTS))

ifeq ($(HANDOUT),)
lint: images ##! the rules of this repository that no compiler knows
	$(Q)$(PYTHON) -m tools.lint --build $(BUILD) --cross '$(CROSS)'

test: lint guests linux unit ##! prove it: unit tests, lint, and pytest driving QEMU and GDB
	$(Q)$(TEST_ENVIRONMENT) $(PYTHON) -m pytest -q -n 2 -p no:cacheprovider $(PYTEST_ARGS) $(TESTS)
else
# What a student writes is graded; that it is unfinished is no fault of the handout.
test: guests $(HOST_KIT_TESTS:%=$(HOST)/test_%) ##? whether kit and grader work on this machine; labs/ is for grade and unit
	$(call run_unit,$(HOST_KIT_TESTS))
	$(Q)$(TEST_ENVIRONMENT) $(PYTHON) -m pytest -q -n 2 -p no:cacheprovider $(PYTEST_ARGS) $(TESTS)
	@echo 'kit and grader work here; your own work: make grade LAB=$(LAB), make unit LAB=$(LAB)'
endif

doctor: ## list what the machine needs: found, or the command that installs it
	@tools/doctor

ifeq ($(TEST),)
debug: $(RUN_NEEDS) ## the machine of run, stopped at its first instruction, under GDB (GUEST=file.elf, TEST=test)
	$(Q)$(PYTHON) -m tools.debug $(MACHINE) --lab $(LAB) --image $(IMAGE) --elf $(IMAGE_DIR)/strata.elf \
		$(if $(GUEST),--guest $(call quoted,$(GUEST))) $(GUEST_TEXT) --out $(IMAGE_DIR) $(call quoted,$(RUN_VMS))
else
debug: ready # a test's machine where the test fails
	$(Q)$(TEST_ENVIRONMENT) $(PYTHON) -m grader.grading.debug_test $(call quoted,$(TEST))
endif

map: $(IMAGE) ## print the registries of an image: layers, trap handlers, hypercalls, devices
	$(Q)$(PYTHON) -m tools.map $(IMAGE_DIR)/strata.elf

measure: image guests linux ##4 the table of costs, and build/measure.json; fails when a bar is missed
	$(Q)STRATA_BUILD='$(BUILD)' STRATA_QEMU=$(call quoted,$(QEMU)) $(PYTHON) -m bench.measure --image $(IMAGE)

format: ready ## lay out all C sources as the lint wants them
	$(Q)clang-format -i $(wildcard $(foreach d,kit kit/* $(if $(HANDOUT),labs,solution)/* guests/* grader/host grader/selftest,$d/*.c $d/*.h))

clean: ## remove $(BUILD)
	rm -rf '$(BUILD)'

# Behind ##, a mark of where a target works: ! with solution/, ? in a handout, 4 with all four layers.
HELP_MARKS = $(if $(HANDOUT),?,!)$(if $(filter 4,$(call labs_in,$(IMPL))),4)
help: ## this text
	@sed -n 's/^\([a-zN-]*\):.*##[$(HELP_MARKS)]* \(.*\)/  make \1|\2/p' Makefile | sed 's/$$(BUILD)/$(subst /,\/,$(BUILD))/' | \
		while IFS='|' read -r t c; do printf '%-16s %s\n' "$$t" "$$c"; done
	@printf '%s\n' '' 'Variables, with their values now:' \
		'  LAB=$(LAB)          layers 1..LAB are linked (there are: $(or $(call labs_in,$(IMPL)),none))' \
		$(if $(HANDOUT),'  BASE=$(BASE)       BASE=reference takes the layers below LAB from a finished hypervisor',\
		'  IMPL=$(IMPL)   tree: solution or labs;  BASE=reference takes the lower layers from solution') \
		'  GIC=$(GIC)          interrupt controller: 3 or 2' \
		'  CPU=$(CPU) SMP=$(SMP) MEM=$(or $(MEM),(as the VMs need))  the physical machine' \
		'  ICOUNT=$(ICOUNT)       1: deterministic, one instruction takes one nanosecond' \
		$(call quoted,  QEMU=$(QEMU)  QEMU_EXTRA="$(QEMU_EXTRA)") \
		'  VMS=file.toml  the VMs to run;  APPEND="..." is added to their command lines' \
		'  KERNEL= INITRD=  instead of the Linux that is fetched from Debian' \
		'  BUILD=$(BUILD)    where everything is built'

# ---- the course ----------------------------------------------------------------------------------

# What TODO() says of an exercise comes from the labs' part of the registry.
REGISTRY := course.toml $(or $(wildcard solution/*/lab.toml),$(wildcard labs/*/lab.toml))
EXERCISE_TITLES := $(OBJ)/course/exercise_titles.h
$(EXERCISE_TITLES): $(REGISTRY) course/registry.py | ready
	$(Q)mkdir -p $(@D)
	$(Q)$(PYTHON) -m course.registry titles > $@
$(OBJ)/kit/todo.c.o: $(EXERCISE_TITLES)
$(OBJ)/kit/todo.c.o: private INCLUDES += -I$(dir $(EXERCISE_TITLES))

$(OBJ)/labs/%.c.o: private C_FLAGS += $(UNWRITTEN)

# A layer of the reference as a handout has it.
$(BUILD)/reference/lab0%.a: FORCE
	@mkdir -p $(@D)
	$(Q)$(MAKE) $(call objects,$(call sources_of,$(call lab_dir,solution,$*)))
	$(Q)rm -f $@ && $(CROSS)ar rcD $@ $(call objects,$(call sources_of,$(call lab_dir,solution,$*)))

EX ?=
DEST ?=
CHECK ?=
TEXTS ?=
OVERWRITE ?=
given = $(if $($1),,$(error make $@ needs $1=$2))
LAB_LOOPS := lab01 lab02 lab03 lab04 lab05 lab06

.PHONY: labNN $(LAB_LOOPS) hint grade why grader-check grade-class submit starters starters-check handout
labNN: ## (lab01, lab02, ...) build labs/ up to that lab and say which exercise is next
	@echo 'make lab02 builds labs 1 to 2 and says which exercise is next'
$(LAB_LOOPS): lab0%: ready
	$(Q)$(MAKE) image LAB=$* IMPL=labs BASE=$(BASE)
	$(Q)$(PYTHON) -m course.lab next --lab $* --base $(BASE)

hint: ready ## (EX=2.3) one more hint for that exercise
	$(call given,EX,n.m: the exercise)$(Q)$(PYTHON) -m course.lab hint --exercise $(call quoted,$(EX)) --state $(BUILD)/hints.json

# An unwritten IMPL means the student's own tree here.
GRADE = $(PYTHON) -m grader.grading.grade --lab $(LAB) --build '$(BUILD)' --qemu $(call quoted,$(QEMU)) --base $(BASE) \
	--impl $(if $(filter command environment,$(firstword $(origin IMPL))),$(IMPL),labs)
GRADER_CHECK_ARGS = $(if $(FULL),--full) $(if $(filter command,$(firstword $(origin LAB))),--lab $(LAB))
FULL ?=
SUBMISSIONS ?=
JOBS ?= 1

grade: ready ## (LAB=2 [EX=2.3] [IMPL=labs] [BASE=reference]) test a lab, and say the points and why
	$(Q)$(GRADE) $(if $(EX),--exercise $(call quoted,$(EX))) $(if $(SEED),--seed $(call quoted,$(SEED)))

why: ready ## (TEST=name) the last failure of that test in full
	$(call given,TEST,name: a test or a part of its name)$(Q)$(PYTHON) -m grader.grading.why --build '$(BUILD)' $(call quoted,$(TEST))

grader-check: ready ##! (instructors; FULL=1) do the tests catch known faults, and do cheats get what they deserve?
	$(Q)$(PYTHON) -m grader.proof.grader_check --build '$(BUILD)' $(GRADER_CHECK_ARGS)

grade-class: ready ##! (instructors; LAB=2 SUBMISSIONS=dir [DEST=dir] [JOBS=4]) grade a folder of submissions
	$(call given,SUBMISSIONS,dir: archives or directories, one a student)$(Q)$(PYTHON) -m grader.grading.grade_class --lab $(LAB) --submissions $(call quoted,$(SUBMISSIONS)) \
		--dest $(call quoted,$(or $(DEST),$(BUILD)/class)) --jobs $(JOBS) --build '$(BUILD)'

submit: ready ## (LAB=2) pack what is to be handed in, and nothing else
	$(Q)$(PYTHON) -m course.submit --lab $(LAB) --out $(BUILD)/submit --scores $(BUILD)/grade

starters: ready ##! (instructors) make labs/ from solution/
	$(Q)$(PYTHON) -m course.starters $(if $(OVERWRITE),--overwrite)
starters-check: ready
	$(Q)$(PYTHON) -m course.starters --check --build $(BUILD)

.PHONY: transcripts
transcripts: ready ##! (authors) run the GDB transcripts of the texts again; CHECK=1 changes nothing
	$(Q)$(TEST_ENVIRONMENT) $(PYTHON) -m course.transcripts $(if $(CHECK),--check) $(TEXTS)

handout: ready ##! (instructors; LAB=2 DEST=dir) what students get: no solution, no history
	$(call given,DEST,dir: a directory that does not exist yet)$(Q)$(PYTHON) -m course.handout --lab $(LAB) --dest $(call quoted,$(DEST)) --build $(BUILD)

# ---- for editors and readers ---------------------------------------------------------------------

.PHONY: listing compile_commands.json
listing: $(IMAGE) ## (LAB=2) the image disassembled, with its source between the instructions
	$(Q)$(CROSS)objdump -dS --no-show-raw-insn $(IMAGE_DIR)/strata.elf > $(IMAGE_DIR)/strata.lst
	@echo $(IMAGE_DIR)/strata.lst

# The one file that is written outside $(BUILD): editors look for it here.
compile_commands.json: ready
	$(Q)$(MAKE) -Bn V=1 images guests $(HOST_TESTS:%=$(HOST)/test_%) | $(PYTHON) -m tools.compile_commands

# ---- dependencies found by the compiler ----------------------------------------------------------

-include $(patsubst %,$(OBJ)/%.o.d,$(sort $(ALL_SOURCES)) $(addprefix guest/,$(GUEST_LIB) $(GUEST_MAINS))) $(OBJ)/asm/asm_offsets.d $(OBJ)/strata.lds.d
