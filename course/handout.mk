# SPDX-License-Identifier: MIT
# In a handout, where there is no solution/: the tests that hold without what students write.

AUTHORS := lint grader-check grade-class starters starters-check transcripts handout
.PHONY: test $(AUTHORS)
# What a student writes is graded; that it is unfinished is no fault of the handout.
test: guests $(HOST_KIT_TESTS:%=$(HOST)/test_%) ## whether kit and grader work on this machine; labs/ is for grade and unit
	$(call run_unit,$(HOST_KIT_TESTS))
	$(Q)$(PYTEST) $(PYTEST_ARGS) $(TESTS)
	@echo 'kit and grader work here; your own work: make grade LAB=$(LAB), make unit LAB=$(LAB)'

$(AUTHORS):
	$(error make $@: this is a handout, which has no solution/ to do that with)
