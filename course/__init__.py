# SPDX-License-Identifier: MIT
"""The course: the registry of labs and exercises, and what is made of it.
Starters, handouts, submissions, hints, the transcripts in texts. Here no machine is judged.
`registry.load_course()` is what everybody else asks.
"""
