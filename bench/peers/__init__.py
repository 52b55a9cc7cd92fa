# SPDX-License-Identifier: MIT
"""The hypervisors that ours is measured beside, from Debian's packages.

All of it is fetched once and kept below build/bench; what cannot be had is a column that says why.
"""
