# SPDX-License-Identifier: MIT
"""All tests that drive a machine or the tools. Each file has a name of its own, whatever directory it is in."""
