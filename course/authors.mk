# SPDX-License-Identifier: MIT
# What needs solution/, and what instructors and authors do. No handout has this file.

SUBMISSIONS ?=
JOBS ?= 1
OVERWRITE ?=
CHECK ?=
TEXTS ?=

.PHONY: lint test stress grader-check in-order grade-class starters starters-check transcripts handout
lint: images ## the rules of this repository that no compiler knows
	$(Q)$(PYTHON) -m tools.lint --build $(BUILD) --cross '$(CROSS)'

test: lint guests linux unit models ## prove it: unit tests, models, lint, and pytest driving QEMU and GDB
	$(Q)$(PYTEST) $(PYTEST_ARGS) $(TESTS)

stress: guests ready ## (authors) races that nobody chose: 1,000,000 interrupts between vCPUs, and the like; about 10 minutes on a quiet machine
	$(Q)$(PYTEST) -n 0 --full $(PYTEST_ARGS) grader/tests/stress/test_stress.py

# A layer of the reference as a handout has it.
$(BUILD)/reference/lab0%.a: FORCE
	@mkdir -p $(@D)
	$(Q)$(MAKE) $(call objects,$(call sources_of,$(call lab_dir,solution,$*)))
	$(Q)rm -f $@ && $(CROSS)ar rcD $@ $(call objects,$(call sources_of,$(call lab_dir,solution,$*)))

GRADER_CHECK_ARGS = $(if $(FULL),--full) $(if $(filter command,$(firstword $(origin LAB))),--lab $(LAB))
grader-check: ready ## (instructors; FULL=1) do the tests catch known faults, and do cheats get what they deserve?
	$(Q)$(PYTHON) -m grader.proof.grader_check --build '$(BUILD)' $(GRADER_CHECK_ARGS)

NEED_TEST += fairness
.PHONY: fairness
fairness: guests ## (instructors; LAB=2) what one unwritten exercise costs, for every exercise
	$(Q)$(PYTHON) -m grader.proof.fairness --build '$(BUILD)' --qemu $(call quoted,$(QEMU)) $(if $(filter command,$(firstword $(origin LAB))),--lab $(LAB))

grade-class: ready ## (instructors; LAB=2 SUBMISSIONS=dir or zip [DEST=dir] [JOBS=4] [SEED=7]) grade what a class has handed in
	$(call given,SUBMISSIONS,dir: archives or directories or a platform's zip of them)$(Q)$(PYTHON) -m grader.grading.grade_class --lab $(LAB) --submissions $(call quoted,$(SUBMISSIONS)) \
		--dest $(call quoted,$(or $(DEST),$(BUILD)/class)) --jobs $(JOBS) $(if $(SEED),--seed $(call quoted,$(SEED))) --build '$(BUILD)'

in-order: ready ## (authors; LAB=2) what a lab earns after each of its exercises, written in order
	$(Q)$(PYTHON) -m grader.proof.in_order --lab $(LAB) --build '$(BUILD)' $(if $(EX),--after $(call quoted,$(EX)))

starters: ready ## (instructors) make labs/ from solution/
	$(Q)$(PYTHON) -m course.starters $(if $(OVERWRITE),--overwrite)
starters-check: ready
	$(Q)$(PYTHON) -m course.starters --check --build $(BUILD)

transcripts: ready ## (authors) run the GDB transcripts of the texts again; CHECK=1 changes nothing
	$(Q)$(PYTHON) -m course.transcripts --build '$(BUILD)' --qemu $(call quoted,$(QEMU)) $(if $(CHECK),--check) $(TEXTS)

handout: ready ## (instructors; LAB=2 DEST=dir) what students get: no solution, no history
	$(call given,DEST,dir: a directory that does not exist yet)$(Q)$(PYTHON) -m course.handout --lab $(LAB) --dest $(call quoted,$(DEST)) --build $(BUILD)
