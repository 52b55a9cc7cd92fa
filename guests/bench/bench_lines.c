// SPDX-License-Identifier: MIT
/* Devices that share lines, for so long that four VMs take 100,000 interrupts. */
#define ROUNDS 15000
#include "../probes/pci_lines.c"
