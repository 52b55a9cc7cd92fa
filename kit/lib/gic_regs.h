/* SPDX-License-Identifier: MIT */
/*
 * Registers of the GIC, for the drivers of the physical one, the models that guests see, and guests:
 * offsets in their frame, and fields. The manuals' names: IHI 0069 for GICv3, IHI 0048 for GICv2.
 * What both versions have stands at the same place in both.
 */
#ifndef STRATA_LIB_GIC_REGS_H
#define STRATA_LIB_GIC_REGS_H

#include "lib/bits.h"

/* INTIDs: SGIs, then PPIs, then SPIs. From 1020 on: special values of the acknowledge register. */
#define GIC_SGI_COUNT 16
#define GIC_PRIVATE_COUNT 32
#define GIC_INTID_SPECIAL 1020
#define GIC_INTID_SPURIOUS 1023

/* GICD: the distributor. */
#define GICD_CTLR 0x000
#define GICD_CTLR_ENABLE_GRP0 BIT(0)
#define GICD_CTLR_ENABLE_GRP1 BIT(1) /* of the only security state */
#define GICD_CTLR_ARE BIT(4)
#define GICD_CTLR_DS BIT(6)
#define GICD_CTLR_RWP BIT(31)
#define GICD_TYPER 0x004
#define GICD_TYPER_ITLINES_MASK 0x1f /* there are 32 times that many INTIDs, plus 32 */
#define GICD_TYPER_CPUS_SHIFT 5
#define GICD_TYPER_ID_BITS_SHIFT 19
#define GICD_TYPER_A3V BIT(24)
#define GICD_IIDR 0x008 /* and GICR_IIDR: */
#define GIC_IIDR_ARM 0x43b /* implementer Arm, product 0: as the machine's own */

/* Registers of all interrupts; those of SGIs and PPIs also in a GICv3 redistributor's SGI frame. */
#define GICD_IGROUPR 0x080
#define GICD_ISENABLER 0x100
#define GICD_ICENABLER 0x180
#define GICD_ISPENDR 0x200
#define GICD_ICPENDR 0x280
#define GICD_ISACTIVER 0x300
#define GICD_ICACTIVER 0x380
#define GICD_IPRIORITYR 0x400
#define GICD_ITARGETSR 0x800 /* GICv2 */
#define GICD_ICFGR 0xc00
#define GICD_ICFGR_EDGE 2U /* upper one of an interrupt's two bits */
#define GICD_IROUTER 0x6000 /* GICv3 */
#define GICD_IROUTER_MODE BIT(31) /* Interrupt_Routing_Mode: to any CPU */

#define GICD_SGIR 0xf00 /* GICv2 */
#define GICD_SGIR_TARGET_LIST_SHIFT 16
#define GICD_SGIR_FILTER_SHIFT 24
#define GICD_SGIR_OTHERS (1U << GICD_SGIR_FILTER_SHIFT)
#define GICD_SGIR_SELF (2U << GICD_SGIR_FILTER_SHIFT)
#define GICD_CPENDSGIR 0xf10 /* GICv2 */
#define GICD_SPENDSGIR 0xf20 /* GICv2 */

/* Identification registers: the last 48 bytes of the first page (GICv2), of a frame (GICv3). */
#define GICV2_PIDR4 0xfd0
#define GICV2_PIDR2 0xfe8
#define GICV3_PIDR4 0xffd0
#define GICV3_PIDR2 0xffe8

/* GICR: a redistributor, two frames of 64 KiB; GICv3. */
#define GICR_SGI_FRAME 0x10000
#define GICR_STRIDE 0x20000
#define GICR_CTLR 0x00
#define GICR_CTLR_RWP BIT(3)
#define GICR_IIDR 0x04
#define GICR_TYPER 0x08
#define GICR_TYPER_VLPIS BIT(1)
#define GICR_TYPER_LAST BIT(4)
#define GICR_TYPER_PROCESSOR_SHIFT 8
#define GICR_TYPER_AFFINITY_SHIFT 32
#define GICR_WAKER 0x14
#define GICR_WAKER_PROCESSOR_SLEEP BIT(1)
#define GICR_WAKER_CHILDREN_ASLEEP BIT(2)

/* GICC: the CPU interface; GICv2. */
#define GICC_CTLR 0x00
#define GICC_CTLR_ENABLE_GRP0 BIT(0)
#define GICC_CTLR_EOIMODE BIT(9)
#define GICC_PMR 0x04
#define GICC_BPR 0x08
#define GICC_IAR 0x0c
#define GICC_EOIR 0x10
#define GICC_RPR 0x14
#define GICC_HPPIR 0x18
#define GICC_APR 0xd0 /* GICC_APR0-3, then GICC_NSAPR0-3 */
#define GICC_IIDR 0xfc
#define GICC_DIR 0x1000

/* GICH: control of the virtual interface; GICv2. GICH_HCR and GICH_VMCR have the fields of ICH_*. */
#define GICH_HCR 0x00
#define GICH_VTR 0x04
#define GICH_VTR_LIST_REGS_MASK 0x3f
#define GICH_VMCR 0x08
#define GICH_APR 0xf0
#define GICH_LR 0x100
#define GICH_LR_HW BIT(31)
#define GICH_LR_EOI BIT(19)

/* ICC_*: the CPU interface; GICv3. */
#define ICC_CTLR_EL1_EOIMODE BIT(1)
#define ICC_CTLR_EL1_PRI_BITS_SHIFT 8 /* less one */
#define ICC_SRE_ELX_SRE_DFB_DIB 7 /* system registers; no bypass of FIQ and IRQ */
#define ICC_SGI1R_EL1_AFF1_SHIFT 16
#define ICC_SGI1R_EL1_INTID_SHIFT 24
#define ICC_SGI1R_EL1_AFF2_SHIFT 32
#define ICC_SGI1R_EL1_IRM BIT(40) /* all but the sender, whatever the other fields say */
#define ICC_SGI1R_EL1_RS_SHIFT 44
#define ICC_SGI1R_EL1_AFF3_SHIFT 48

/* ICH_*: control of the virtual interface; GICv3. */
#define ICH_HCR_EL2_EN BIT(0)
#define ICH_HCR_EL2_LRENPIE BIT(2)
#define ICH_HCR_EL2_NPIE BIT(3)
#define ICH_HCR_EL2_VGRP0EIE BIT(4)
#define ICH_HCR_EL2_VGRP0DIE BIT(5)
#define ICH_HCR_EL2_VGRP1EIE BIT(6)
#define ICH_HCR_EL2_VGRP1DIE BIT(7)
#define ICH_HCR_EL2_TDIR BIT(14)
#define ICH_HCR_EL2_EOICOUNT_SHIFT 27
#define ICH_HCR_EL2_EOICOUNT_MASK 0x1f
#define ICH_VTR_EL2_LIST_REGS_MASK 0x1f
#define ICH_VTR_EL2_TDS BIT(19)
#define ICH_VTR_EL2_PRE_BITS_SHIFT 26
#define ICH_VMCR_EL2_VENG0 BIT(0)
#define ICH_VMCR_EL2_VENG1 BIT(1)
#define ICH_VMCR_EL2_VFIQEN BIT(3)
#define ICH_VMCR_EL2_VCBPR BIT(4)
#define ICH_VMCR_EL2_VBPR1_SHIFT 18
#define ICH_VMCR_EL2_VBPR0_SHIFT 21
#define ICH_VMCR_EL2_VPMR_SHIFT 24
#define ICH_LR_EL2_VINTID_MASK 0x3ff
#define ICH_LR_EL2_SOURCE_SHIFT 10 /* of a GICv2 SGI: its requester, in vINTID */
#define ICH_LR_EL2_PINTID_SHIFT 32
#define ICH_LR_EL2_EOI BIT(41) /* without HW */
#define ICH_LR_EL2_PRIORITY_SHIFT 48
#define ICH_LR_EL2_GROUP BIT(60)
#define ICH_LR_EL2_HW BIT(61)
#define ICH_LR_EL2_STATE_PENDING BIT(62)
#define ICH_LR_EL2_STATE_ACTIVE BIT(63)

#endif
