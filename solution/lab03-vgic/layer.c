// SPDX-License-Identifier: MIT
#include "vmm.h"

DEVICE(gicd_v3);
DEVICE(gicd_v2);
DEVICE(gicc_dir);
DEVICE(gicr);
