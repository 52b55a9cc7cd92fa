# SPDX-License-Identifier: MIT
"""All tests that drive a machine or the tools; labNN/ holds those that earn points.
course/ tests the registry, starters and texts, harness/ the grader and the tools, hypervisor/ what
no lab's grade counts. Each test file has a name of its own: the registry, budgets and mutants call
a test by it, without the directory.
"""
