# SPDX-License-Identifier: MIT
"""The numbers of the guest's machine: GUEST_X of kit/lib/guest_map.h is GUEST_MAP["X"]."""

from __future__ import annotations

import re
from pathlib import Path

_HEADER = Path(__file__).parents[1] / "kit" / "lib" / "guest_map.h"
_NUMBERS = re.findall(r"#define GUEST_(\w+) (\w+)", _HEADER.read_text("utf-8"))
GUEST_MAP = {name: int(number, 0) for name, number in _NUMBERS}
