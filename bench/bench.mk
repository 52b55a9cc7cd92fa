# SPDX-License-Identifier: MIT
# The costs of the finished hypervisor.

.PHONY: measure
measure: image guests linux ## the table of costs of all layers, and build/measure.json; fails when a bar is missed
	$(Q)$(PYTHON) -m bench.measure --build '$(BUILD)' --qemu $(call quoted,$(QEMU)) --image $(IMAGE)
