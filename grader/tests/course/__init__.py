# SPDX-License-Identifier: MIT
"""The registry, starters, handouts, texts."""
