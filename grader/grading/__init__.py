# SPDX-License-Identifier: MIT
"""From verdicts of tests to points of a lab, and the forms in which they are told.
A run of tests (run, plugin), their budgets and properties, one submission, a class, `make why`.
`grade` is what `make grade` starts.
"""
