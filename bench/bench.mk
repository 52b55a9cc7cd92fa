# SPDX-License-Identifier: MIT
# The costs of the finished hypervisor.

BENCH ?=
PEERS ?=
BENCHMARKS := hypercall gic-trap virtual-ipi completion vm-switch io-out io-in
$(if $(BENCH),$(call accept,BENCH,$(BENCHMARKS)))
$(if $(PEERS),$(call accept,PEERS,0 1))

.PHONY: bench bench-record measure
bench: $(IMAGE) $(BUILD)/guests/payload.bin ready ## the paper's microbenchmarks, in build/bench (PEERS=1: KVM and Xen, too; BENCH=hypercall: one of them)
	$(Q)$(if $(filter 1,$(PEERS)),tools/doctor --quiet --for peers || true)
	$(Q)$(PYTHON) -m bench.bench --build '$(BUILD)' --qemu $(call quoted,$(QEMU)) --image $(IMAGE) --lab $(LAB) \
		$(if $(filter 1,$(PEERS)),--peers) $(if $(BENCH),--benchmark $(BENCH))

measure: image guests linux ## the table of costs of all layers, and build/measure.json; fails when a bar is missed
	$(Q)$(PYTHON) -m bench.measure --build '$(BUILD)' --qemu $(call quoted,$(QEMU)) --image $(IMAGE) --lab $(LAB)

bench-record: $(IMAGE) $(BUILD)/guests/payload.bin $(BUILD)/guests/bench.bin ready ## (authors) write bench/counts.json, which make test compares with, anew
	$(Q)$(PYTHON) -m bench.gate --build '$(BUILD)' --qemu $(call quoted,$(QEMU)) --image $(IMAGE) --record

# With IMPL=labs beside the reference, where that is at hand.
PROFILE_REFERENCE = $(if $(and $(filter labs,$(IMPL)),$(wildcard solution/.)),$(BUILD)/solution-lab0$(LAB)/strata.bin)
.PHONY: profile
profile: $(IMAGE) $(BUILD)/guests/payload.bin ready ## (BENCH=hypercall) where the instructions of an exit go, by function and line, and as a flame graph
	$(call given,BENCH,one of $(BENCHMARKS))$(if $(PROFILE_REFERENCE),$(Q)$(MAKE) $(PROFILE_REFERENCE))
	$(Q)$(PYTHON) -m bench.profile --build '$(BUILD)' --qemu $(call quoted,$(QEMU)) --cpu $(CPU) --cross $(CROSS) --image $(IMAGE) \
		$(if $(PROFILE_REFERENCE),--reference $(PROFILE_REFERENCE)) --benchmark $(BENCH)
