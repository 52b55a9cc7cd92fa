# SPDX-License-Identifier: MIT
"""What runs inside GDB."""
