# SPDX-License-Identifier: MIT
"""Numbers that a reader takes from a publication: columns of the table (published.toml)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.paper import ROWS
from tools.errors import UserError


@dataclass(frozen=True)
class Published:
    """The rows' values by the title of their column, as the file has them."""

    columns: dict[str, dict[str, float]]

    @classmethod
    def read(cls, path: Path) -> Published:
        try:
            tables: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: {error}") from None
        names = {row.name for row in ROWS}
        columns = {}
        for title, rows in tables.items():
            if not isinstance(rows, dict):
                raise UserError(f"{path}: {title} is no table [\"title of a column\"]")
            for name, value in rows.items():
                if name not in names:
                    raise UserError(f"{path}: [{title}] {name}: no such row; there are: "
                                    f"{', '.join(sorted(names))}")
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    raise UserError(f"{path}: [{title}] {name} is no number")
            columns[title] = rows
        return cls(columns)

    def cells(self, name: str) -> list[str]:
        return [f"{rows[name]:,}" if name in rows else "" for rows in self.columns.values()]

    def as_json(self) -> dict[str, dict[str, float]]:
        return self.columns
