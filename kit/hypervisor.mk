# SPDX-License-Identifier: MIT
# The hypervisor's images: the kit and the layers of a lab, linked; what shows an image from inside.

# The offsets that assembly needs are taken from the compiler's own output, never counted by hand:
# each line `.ascii "->NAME VALUE"` of the compiled kit/asm_offsets.c becomes a #define.
ASM_OFFSETS := $(OBJ)/asm/asm_offsets.h
$(ASM_OFFSETS): kit/asm_offsets.c $(OBJ)/c.flags
	$(call say,OFFSET,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) -Ikit -MMD -MP -MF $(@D)/asm_offsets.d -MT $@ -S -o $(@D)/asm_offsets.s $<
	$(Q)sed -n 's/.*"->\([A-Za-z_0-9]*\) [#$$]*\(-\{0,1\}[0-9]*\).*/#define \1 \2/p' $(@D)/asm_offsets.s > $@

LINK_SCRIPT := $(OBJ)/strata.lds
$(LINK_SCRIPT): kit/strata.lds.S $(OBJ)/s.flags $(ASM_OFFSETS)
	$(call say,CPP,$@)
	$(Q)$(CC) -E -P -x assembler-with-cpp -D__ASSEMBLY__ -Ikit -I$(OBJ)/asm -MMD -MP -MF $@.d -MT $@ -o $@ $<

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

$(OBJ)/labs/%.c.o: private C_FLAGS += $(UNWRITTEN)

.PHONY: map listing
map: $(IMAGE) ## print the registries of an image: layers, trap handlers, hypercalls, devices
	$(Q)$(PYTHON) -m tools.map $(IMAGE_DIR)/strata.elf

listing: $(IMAGE) ## (LAB=2) the image disassembled, with its source between the instructions
	$(Q)$(CROSS)objdump -dS --no-show-raw-insn $(IMAGE_DIR)/strata.elf > $(IMAGE_DIR)/strata.lst
	@echo $(IMAGE_DIR)/strata.lst
