# SPDX-License-Identifier: MIT
# The costs of the finished hypervisor.

.PHONY: measure
measure: image guests linux ## the table of costs of all layers, and build/measure.json; fails when a bar is missed
	$(Q)STRATA_BUILD='$(BUILD)' STRATA_QEMU=$(call quoted,$(QEMU)) $(PYTHON) -m bench.measure --image $(IMAGE)
