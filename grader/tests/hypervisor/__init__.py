# SPDX-License-Identifier: MIT
"""The hypervisor beyond what a lab's grade counts: given code, hostile guests, other machines."""
