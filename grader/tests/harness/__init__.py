# SPDX-License-Identifier: MIT
"""The grader and the tools themselves."""
