# SPDX-License-Identifier: MIT
"""Bit fields: the one helper under all decoders."""

from __future__ import annotations


def bits(value: int, high: int, low: int) -> int:
    """value[high:low] in the manual's notation."""
    return value >> low & (1 << high - low + 1) - 1


def bit(value: int, position: int) -> int:
    return value >> position & 1


def sign_extend(value: int, width: int) -> int:
    """A two's complement number of `width` bits as a Python integer."""
    value &= (1 << width) - 1
    return value - (1 << width) if value >> width - 1 else value


def names_of(value: int, names: dict[int, str]) -> list[str]:
    """Names of the single-bit fields that are set, highest first."""
    return [name for position, name in sorted(names.items(), reverse=True) if bit(value, position)]
