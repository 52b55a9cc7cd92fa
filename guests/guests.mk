# SPDX-License-Identifier: MIT
# What runs in VMs: probes, demos, the measured guest, Linux and U-Boot.

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
# The payload of the benchmark brings an entry of its own, and runs elsewhere, too.
PAYLOAD := $(sort $(wildcard guests/payload/*.S guests/payload/*.c))
GUESTS += $(if $(PAYLOAD),payload)
$(BUILD)/guests/payload.elf: $(patsubst %,$(OBJ)/guest/%.o,$(PAYLOAD)) $(BUILD)/guests/libguest.a $(GUEST_LDS) $(BUILD)/guests/link.flags
	$(call say,LINK,$@)
	$(Q)$(CC) $(GUEST_LD_FLAGS) -T $(GUEST_LDS) -Wl,-Map=$(@:.elf=.map) -o $@ $(filter %.o %.a,$^)
$(BUILD)/guests/%.bin: $(BUILD)/guests/%.elf
	$(Q)$(OBJCOPY) -O binary $< $@
$(BUILD)/guests/%.toml: guests/demos/%.toml
	@mkdir -p $(@D)
	$(Q)cp $< $@
# A probe alone: make debug LAB=2 VMS=build/guests/mmio_decode.toml
$(BUILD)/guests/%.toml: $(BUILD)/guests/%.bin
	$(Q)printf '[[vm]]\nname = "probe"\nmemory = "16M"\nkernel = "%s"\n' $(<F) > $@

# The types of the headers that are given, the kit's and each layer's, for who reads EL2's objects
# from outside: what a submission's own debug information says of a type decides nothing.
LAYERS_GIVEN := $(dir $(wildcard $(or $(wildcard solution),labs)/lab0*/internal.h))
$(BUILD)/guests/layouts.o: $(wildcard kit/*.h kit/lib/*.h $(LAYERS_GIVEN:%=%*.h)) $(OBJ)/c.flags
	$(call say,TYPES,$@)
	$(Q)mkdir -p $(@D)
	$(Q)for layer in $(LAYERS_GIVEN); do \
		ls kit/*.h $$layer*.h | sed 's,.*,#include "&",' | $(CC) $(C_FLAGS) -fno-eliminate-unused-debug-types \
			-I. -Ikit -I$$layer -x c -c -o $@.$$(basename $$layer) - || exit 1; done
	$(Q)$(CROSS)ld -r -o $@ $@.lab* && rm $@.lab*
.PHONY: guests
guests: $(BUILD)/guests/layouts.o $(GUESTS:%=$(BUILD)/guests/%.bin) $(GUESTS:%=$(BUILD)/guests/%.toml) $(patsubst guests/demos/%,$(BUILD)/guests/%,$(wildcard guests/demos/*.toml))

# ---- lab 1's warm-up: no guest and no hypervisor, but all that one needs -----------------------------

WARMUP := $(BUILD)/warmup/warmup
$(WARMUP).elf: $(OBJ)/guest/guests/warmup/warmup.S.o
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LD_FLAGS) -Wl,-e,_start -Wl,-Ttext=0x40200000 -o $@ $<
$(WARMUP).bin: $(WARMUP).elf
	$(Q)$(OBJCOPY) -O binary $< $@
WARMUP_NEEDS := $(WARMUP).bin $(BUILD)/guests/hello.bin $(BUILD)/guests/hello.toml
WARMUP_RUN = $(MACHINE) --lab 1 --image $(WARMUP).bin --out $(BUILD)/warmup
.PHONY: warmup warmup-debug
warmup: $(WARMUP_NEEDS) ## lab 1's warm-up: guests/warmup/warmup.S on the machine (warmup-debug: under GDB)
	$(Q)$(PYTHON) -m tools.run $(WARMUP_RUN) $(BUILD)/guests/hello.toml
warmup-debug: $(WARMUP_NEEDS)
	$(Q)$(PYTHON) -m tools.debug $(WARMUP_RUN) --elf $(WARMUP).elf $(BUILD)/guests/hello.toml

# ---- Linux for the guests ------------------------------------------------------------------------

.PHONY: linux
linux: $(BUILD)/linux/vms.toml $(BUILD)/linux/debugger
$(BUILD)/linux/source.flags: FORCE
	$(call keep,KERNEL=$(KERNEL) INITRD=$(INITRD))
$(BUILD)/linux/vms.toml: guests/linux/vms.toml guests/linux/fetch.py guests/linux/init guests/linux/init-devices guests/linux/init-work $(BUILD)/linux/source.flags $(call one_name,$(KERNEL)) $(call one_name,$(INITRD)) | ready
	$(Q)$(PYTHON) -m guests.linux.fetch --out $(@D) $(if $(KERNEL),--kernel $(call quoted,$(KERNEL))) $(if $(INITRD),--initrd $(call quoted,$(INITRD)))
	$(Q)cp $< $@

# Others that can be asked for by DEMO=.
$(BUILD)/linux/%.toml: guests/linux/%.toml | $(BUILD)/linux/vms.toml
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
