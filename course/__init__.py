# SPDX-License-Identifier: MIT
"""The course: its registry, and what is made of it: starters, handouts, submissions, texts."""
