# SPDX-License-Identifier: MIT
# What students do with a lab: build, hints, grade, hand in.

# What TODO() says of an exercise comes from the labs' part of the registry.
REGISTRY := course.toml $(or $(wildcard solution/*/lab.toml),$(wildcard labs/*/lab.toml))
EXERCISE_TITLES := $(OBJ)/course/exercise_titles.h
$(EXERCISE_TITLES): $(REGISTRY) course/registry.py | ready
	$(Q)mkdir -p $(@D)
	$(Q)$(PYTHON) -m course.registry titles > $@
$(OBJ)/kit/todo.c.o: $(EXERCISE_TITLES)
$(OBJ)/kit/todo.c.o: private INCLUDES += -I$(dir $(EXERCISE_TITLES))

EX ?=
FULL ?=
SUBMISSION ?=
DEST ?=
given = $(if $($1),,$(error make $@ needs $1=$2))
LAB_LOOPS := $(NUMBERS:%=lab0%)

.PHONY: labNN $(LAB_LOOPS) hint grade why submit
labNN: ## (lab01, lab02, ...) build labs/ up to that lab and say which exercise is next
	@echo 'make lab02 builds labs 1 to 2 and says which exercise is next'
$(LAB_LOOPS): lab0%: ready
	$(Q)$(MAKE) image LAB=$* IMPL=labs BASE=$(BASE)
	$(Q)$(PYTHON) -m course.lab next --lab $* --base $(BASE) --grades '$(BUILD)/grade'

hint: ready ## (EX=2.3) one more hint for that exercise
	$(call given,EX,n.m: the exercise)$(Q)$(PYTHON) -m course.lab hint --exercise $(call quoted,$(EX)) --state $(BUILD)/hints.json

# An unwritten IMPL means the student's own tree here.
GRADE = $(PYTHON) -m grader.grading.grade --lab $(LAB) --build '$(BUILD)' --qemu $(call quoted,$(QEMU)) --base $(BASE) \
	--impl $(if $(filter command environment,$(firstword $(origin IMPL))),$(IMPL),labs)

# A submission is graded whole, whatever stands in this tree.
OF_SUBMISSION = $(if $(SUBMISSION),--submission $(call quoted,$(SUBMISSION)))

grade: ready ## (LAB=2 [EX=2.3] [IMPL=labs] [BASE=reference] [SUBMISSION=file]) test a lab, and say the points and why
	$(Q)$(GRADE) $(OF_SUBMISSION) $(if $(EX),--exercise $(call quoted,$(EX))) $(if $(SEED),--seed $(call quoted,$(SEED)))

why: ready ## (TEST=name [SUBMISSION=file [DEST=dir]]) the last failure of that test in full
	$(if $(SUBMISSION),,$(call given,TEST,name: a test or a part of its name))$(Q)$(PYTHON) -m grader.grading.why --build '$(BUILD)' \
		$(OF_SUBMISSION) $(if $(DEST),--dest $(call quoted,$(DEST))) $(if $(TEST),$(call quoted,$(TEST)))

submit: ready ## (LAB=2) pack what is to be handed in, and nothing else
	$(Q)$(PYTHON) -m course.submit --lab $(LAB) --out $(BUILD)/submit --scores $(BUILD)/grade
