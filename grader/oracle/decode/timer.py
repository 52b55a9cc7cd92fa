# SPDX-License-Identifier: MIT
"""CNTx_CTL and CNTx_CVAL: in which state a generic timer is."""

from __future__ import annotations

FAR_TICKS = 1 << 40  # 18 minutes of the machine's time: no test lasts for seconds
ENABLE, IMASK, ISTATUS = 1, 2, 4


def timer_state(control: int, deadline: int = 0) -> str:
    """A timer in words."""
    if not control & ENABLE:
        return "off"
    if control & IMASK:
        return "masked"
    if control & ISTATUS:
        return "expired but not delivered"
    return "armed" if deadline < FAR_TICKS else f"armed for {deadline:#x}, which is never"
