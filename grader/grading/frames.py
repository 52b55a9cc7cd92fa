# SPDX-License-Identifier: MIT
"""Call-frame information of an object: nothing in it may have a debugger compute.

A debugger that unwinds a stack runs these programs. An expression in one may loop for ever, and no
compiler writes one for our code. So the section .debug_frame of a submission's object is read here,
in one pass, and refused with an expression in it, or when it is not as the standard has it.

Manual: DWARF Debugging Information Format, version 5, "Call Frame Information".
"""

from __future__ import annotations

SECTION, MOST_BYTES = ".debug_frame", 256 << 10
CIE = 0xFFFF_FFFF
ADDRESS = 8

# The operands of an instruction, by its opcode: u and s are LEB128 numbers, digits are bytes.
OPERANDS = {
    0x00: "", 0x01: "8", 0x02: "1", 0x03: "2", 0x04: "4", 0x05: "uu", 0x06: "u", 0x07: "u",
    0x08: "u", 0x09: "uu", 0x0A: "", 0x0B: "", 0x0C: "uu", 0x0D: "u", 0x0E: "u", 0x11: "us",
    0x12: "us", 0x13: "s", 0x14: "uu", 0x15: "us", 0x2D: "",
}  # fmt: skip
EXPRESSIONS = {0x0F, 0x10, 0x16}  # DW_CFA_def_cfa_expression, expression, val_expression


class _Malformed(Exception):
    """What stands there is no call-frame information of ours."""


def _skip(data: bytes, at: int, operands: str) -> int:
    """Where the operands end that begin at `at`."""
    for operand in operands:
        if operand.isdigit():
            at += int(operand)
            continue
        while data[at] & 0x80:
            at += 1
        at += 1
    return at


def _instructions(data: bytes, at: int, end: int) -> bool:
    """Whether there is an expression among the instructions."""
    while at < end:
        opcode = data[at]
        at += 1
        if opcode in EXPRESSIONS:
            return True
        if opcode >> 6:  # advance_loc, offset, restore, with their first operand in the opcode
            at = _skip(data, at, "u" if opcode >> 6 == 2 else "")
        elif opcode in OPERANDS:
            at = _skip(data, at, OPERANDS[opcode])
        else:
            raise _Malformed
    if at != end:
        raise _Malformed
    return False


def _entry(data: bytes, at: int, end: int) -> bool:
    """The same for one entry, from its CIE_id or CIE pointer on."""
    if int.from_bytes(data[at:at + 4], "little") != CIE:
        return _instructions(data, at + 4 + 2 * ADDRESS, end)
    version, augmentation = data[at + 4], data[at + 5]
    if augmentation or version not in (1, 3, 4):
        raise _Malformed
    at = _skip(data, at + 6 + 2 * (version == 4), "us")
    return _instructions(data, _skip(data, at, "1" if version == 1 else "u"), end)


def objection(data: bytes) -> str:
    """What is wrong with the contents of a .debug_frame, or nothing."""
    if len(data) > MOST_BYTES:
        return f"more call-frame information than {MOST_BYTES >> 10} KiB"
    at = 0
    try:
        while at < len(data):
            end = at + 4 + int.from_bytes(data[at:at + 4], "little")
            if not at + 8 <= end <= len(data):
                raise _Malformed
            if _entry(data, at + 4, end):
                return "an expression in its call-frame information"
            at = end
    except (_Malformed, IndexError):
        return "call-frame information that is not a compiler's"
    return ""
