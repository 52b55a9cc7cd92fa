# SPDX-License-Identifier: MIT
"""From verdicts of tests to points of a lab, and the forms in which they are told."""
