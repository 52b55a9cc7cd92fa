# SPDX-License-Identifier: MIT
#
# The only entry point that people type. A bare `make` prints the targets that have a text behind ##.
# What belongs to one part of the repository stands there, in a file that is included below:
#   kit/hypervisor.mk  images      guests/guests.mk     what runs in VMs, Linux
#   bench/bench.mk     costs       grader/host/host.mk  unit tests on the host
#   course/course.mk   what students do with a lab;  course/authors.mk  what needs solution/, and in a handout,
#                      which has none, course/handout.mk
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
SMP ?=
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
FROM ?= 0
FOR ?= 1000s
TESTS ?= $(if $(HANDOUT),$(filter-out grader/tests/lab%,$(wildcard grader/tests/*/test_*.py)),grader/tests)
PYTEST_ARGS ?=
V ?= 0

# ---- an unknown value is an error, never a default -----------------------------------------------

# A value as one word of the shell, and as one name in a list of files.
quoted = '$(subst ','\'',$1)'
empty :=
one_name = $(subst $(empty) ,\ ,$1)

NUMBERS := 1 2 3 4 5 6 7 8 9
labs_in = $(strip $(foreach n,$(NUMBERS),$(if $(wildcard $1/lab0$n-*/.),$n)))
accept = $(if $(and $(filter $2,$($1)),$(filter 1,$(words $($1)))),,$(error $1=$($1) is not accepted; $1 takes: $(or $3,$2)))

$(call accept,IMPL,solution labs)
$(call accept,BASE,own reference)
LAB_IS_TOLD := $(filter-out undefined,$(origin LAB))
LAB ?= $(or $(lastword $(call labs_in,$(IMPL))),1)
$(call accept,LAB,$(or $(sort $(call labs_in,solution) $(call labs_in,labs)),1))
$(call accept,GIC,2 3)
$(call accept,CPU,cortex-a35 cortex-a53 cortex-a57 cortex-a72 cortex-a76 neoverse-n1 max)
SMP := $(or $(SMP),$(if $(filter 6,$(LAB)),4,1))
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
# A file of a guest in guests/ is made when it is asked for.
own_guest = $(if $(filter $(BUILD)/guests/%,$1),$(wildcard guests/*/$(basename $(notdir $1)).*))
a_file = $(if $($1),$(if $(call own_guest,$($1))$(shell test -e $(call quoted,$($1)) && echo yes),,$(error $1=$($1): no such file; $1 takes the path of $2)))
$(call a_file,VMS,a vms.toml as docs/vms-toml.md describes)
$(call a_file,KERNEL,an arm64 Image)
$(call a_file,INITRD,an initramfs)
$(call a_file,GUEST,an ELF file of what runs in the VMs)

lab_dir = $(patsubst %/.,%,$(wildcard $1/lab0$2-*/.))
upto = $(wordlist 1,$1,$(NUMBERS))
# $1 = tree, $2 = highest lab, $3 = BASE: the directories of an image, lowest first. A handout has no
# solution/: there a layer of the reference is an archive.
layer_tree = $(if $(and $(filter reference,$3),$(filter-out $2,$n)),solution,$1)
layer_dir = $(or $(call lab_dir,$(layer_tree),$n),$(if $(filter solution,$(layer_tree)),$(wildcard handout/reference/lab0$n.a)))
image_dirs = $(foreach n,$(call upto,$2),$(layer_dir))
missing_dirs = $(strip $(foreach n,$(call upto,$2),$(if $(layer_dir),,$(layer_tree)/lab0$n-*)))

ifneq ($(filter run debug map listing image test unit measure bench,$(MAKECMDGOALS)),)
ifneq ($(call missing_dirs,$(IMPL),$(LAB),$(BASE)),)
$(error LAB=$(LAB) IMPL=$(IMPL) needs $(call missing_dirs,$(IMPL),$(LAB),$(BASE)), which does not exist; LAB takes: $(or $(call labs_in,$(IMPL)),none yet))
endif
endif

# ---- tools, looked up when first used, so that the doctor can install them before ----------------

find_cross = $(shell for p in aarch64-none-elf- aarch64-linux-gnu-; do command -v $${p}gcc >/dev/null && echo $$p && break; done)
CROSS = $(eval CROSS := $(find_cross))$(CROSS)
PYTHON = $(eval PYTHON := $(shell tools/doctor --python))$(PYTHON)
CC = $(CROSS)gcc
OBJCOPY = $(CROSS)objcopy
HOSTCC = gcc
Q := $(if $(filter 0,$(V)),@)
say = $(if $(filter 0,$(V)),@printf '  %-6s %s\n' '$1' '$2')
# What Python has compiled is kept, and not among the sources: without it a grade takes a second longer.
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX ?= $(abspath $(BUILD))/pycache

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
# Where the linker has put addresses into code stays noted in the ELF: a test leads some elsewhere.
LD_FLAGS := -nostdlib -static -no-pie -Wl,--emit-relocs -Wl,--build-id=none -Wl,--fatal-warnings \
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
NEED_TEST := test lint measure trace profile format unit models grade why grader-check in-order grade-class starters starters-check handout transcripts
NEED_PYTHON := hint submit
need = $(if $(filter $(NEED_TEST) $(if $(TEST),debug),$(MAKECMDGOALS)),test,$(if $(filter debug warmup-debug,$(MAKECMDGOALS)),debug,$(if $(filter bench,$(MAKECMDGOALS)),bench,$(if $(filter-out $(NEED_PYTHON),$(MAKECMDGOALS)),run,python))))
ready:
	@tools/doctor --quiet --for $(need)

$(OBJ)/c.flags: FORCE | ready
	$(call keep,$(CC) $(C_FLAGS) $(shell $(CC) -dumpfullversion))
$(OBJ)/s.flags: FORCE | ready
	$(call keep,$(CC) $(S_FLAGS) $(shell $(CC) -dumpfullversion))

# ---- the parts -----------------------------------------------------------------------------------

# The tree in which a submission is built has no guests and no grader.
include kit/hypervisor.mk $(wildcard guests/guests.mk grader/host/host.mk bench/bench.mk) course/course.mk
include course/$(if $(HANDOUT),handout,authors).mk

# ---- what people type ----------------------------------------------------------------------------

# A lab has guests of its own that show what its layer adds, or its image runs Linux; a hypervisor
# that can, and of which no lab was named, does, too.
LAB_DEMO := $(if $(LAB_IS_TOLD)$(filter 1 2 3,$(LAB)),$(wildcard guests/demos/lab0$(LAB).toml))
DEFAULT_VMS := $(if $(DEMO),$(BUILD)/linux/$(DEMO).toml,$(if $(LAB_DEMO),$(BUILD)/guests/lab0$(LAB).toml,$(BUILD)/linux/vms.toml))
RUN_VMS := $(or $(VMS),$(DEFAULT_VMS))
kernels_of = $(if $1,$(shell sed -n 's,^kernel = "\(.*\)",$(BUILD)/guests/\1,p' $1))
DEMO_GUESTS = $(call kernels_of,$(LAB_DEMO))
# What VMS= and GUEST= name, as far as guests/ has the sources: those guests, and no other.
NAMED_GUESTS = $(if $(call own_guest,$(VMS)),$(VMS) $(call kernels_of,$(wildcard guests/demos/$(notdir $(VMS))))) $(if $(call own_guest,$(GUEST)),$(GUEST))
RUN_NEEDS := $(IMAGE) $(NAMED_GUESTS) $(if $(VMS),,$(if $(DEMO),linux $(DEFAULT_VMS),$(if $(LAB_DEMO),$(DEFAULT_VMS) $(DEMO_GUESTS),linux)))
MACHINE = --qemu $(call quoted,$(QEMU)) --cpu $(CPU) --gic $(GIC) --smp $(SMP) $(if $(MEM),--memory $(MEM)) \
	$(if $(filter 1,$(ICOUNT)),--icount) $(if $(QEMU_EXTRA),--extra=$(call quoted,$(QEMU_EXTRA)))
GUEST_TEXT = $(if $(APPEND),--append $(call quoted,$(APPEND))) $(if $(SEED),--seed $(call quoted,$(SEED)))

# What a run of tests is told (grader/machine/options.py).
TEST_OPTIONS = --build='$(BUILD)' --impl=$(IMPL) --base=$(BASE) --qemu=$(call quoted,$(QEMU)) $(if $(SEED),--seeds=$(call quoted,$(SEED))) $(if $(FULL),--full)
PYTEST = $(PYTHON) -m pytest -q -n 2 -p no:cacheprovider $(TEST_OPTIONS)

.PHONY: run doctor debug format clean help compile_commands.json
run: $(RUN_NEEDS) ## boot the VMs of VMS= (default: two Debian Linux VMs with SMP= vCPUs) under the hypervisor
	$(Q)$(PYTHON) -m tools.run $(MACHINE) --lab $(LAB) --image $(IMAGE) $(GUEST_TEXT) --out $(IMAGE_DIR) $(call quoted,$(RUN_VMS))

trace: $(RUN_NEEDS) ## make run as a picture of its time, $(BUILD)/trace/trace.html, and trace.json for Perfetto (FROM=270ms FOR=5ms: a part of it)
	$(Q)$(PYTHON) -m bench.trace $(MACHINE) --lab $(LAB) --image $(IMAGE) $(GUEST_TEXT) --from $(call quoted,$(FROM)) --for $(call quoted,$(FOR)) \
		--out $(BUILD)/trace $(call quoted,$(RUN_VMS))

doctor: ## list what the machine needs: found, or the command that installs it
	@tools/doctor

ifeq ($(TEST),)
debug: $(RUN_NEEDS) ## the machine of run, stopped at its first instruction, under GDB (GUEST=file.elf; TEST=test [SUBMISSION=file])
	$(Q)$(PYTHON) -m tools.debug $(MACHINE) --lab $(LAB) --image $(IMAGE) --elf $(IMAGE_DIR)/strata.elf \
		$(if $(GUEST),--guest $(call quoted,$(GUEST))) $(GUEST_TEXT) --out $(IMAGE_DIR) $(call quoted,$(RUN_VMS))
else
debug: ready # a test's machine where the test fails
	$(Q)$(if $(SUBMISSION),$(PYTHON) -m grader.grading.debug_submission --lab $(LAB) --base $(BASE) --build '$(BUILD)' --qemu $(call quoted,$(QEMU)) \
		$(OF_SUBMISSION) $(if $(SEED),--seed $(call quoted,$(SEED))),$(PYTHON) -m grader.grading.debug_test $(TEST_OPTIONS)) $(call quoted,$(TEST))
endif

format: ready ## lay out all C sources as the lint wants them
	$(Q)clang-format -i $(wildcard $(foreach d,kit kit/* $(if $(HANDOUT),labs,solution)/* guests/* grader/host,$d/*.c $d/*.h))

clean: ## remove $(BUILD)
	rm -rf '$(BUILD)'

help: ## this text
	@sed -n 's/^\([a-zN-]*\):.*## \(.*\)/  make \1|\2/p' $(filter Makefile %.mk,$(MAKEFILE_LIST)) | sed 's/$$(BUILD)/$(subst /,\/,$(BUILD))/' | \
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

# ---- for editors and readers ---------------------------------------------------------------------

# The one file that is written outside $(BUILD): editors look for it here.
compile_commands.json: ready
	$(Q)$(MAKE) -Bn V=1 images guests $(HOST_TESTS:%=$(HOST)/test_%) | $(PYTHON) -m tools.compile_commands

# ---- dependencies found by the compiler ----------------------------------------------------------

-include $(patsubst %,$(OBJ)/%.o.d,$(sort $(ALL_SOURCES)) $(addprefix guest/,$(GUEST_LIB) $(GUEST_MAINS) $(PAYLOAD))) $(OBJ)/asm/asm_offsets.d $(OBJ)/strata.lds.d
