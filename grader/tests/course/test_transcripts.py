# SPDX-License-Identifier: MIT
"""GDB prints what the texts show; the comparison passes over what depends on a build."""

from __future__ import annotations

from pathlib import Path

import pytest

from course import transcripts
from grader.machine import options
from grader.machine.images import ROOT
from tools.errors import UserError

TEXT = """\
before
```console show="EC"
$ make debug LAB=1 ICOUNT=1
(gdb) strata esr 0x5a000000
{answer}
```
  ```console
  (gdb) print 6 * 7
  ```
"""


def setting() -> transcripts.Setting:
    told = options.current()
    return transcripts.Setting(told.build, told.qemu)


def written(folder: Path, text: str) -> Path:
    path = folder / "text.md"
    path.write_text(text)
    return path


@pytest.mark.skipif(not (ROOT / "solution").is_dir(), reason="the transcripts show the reference")
@pytest.mark.parametrize("path", transcripts.texts(), ids=lambda path: str(path.relative_to(ROOT)))
def test_gdb_still_says_what_the_texts_show(path: Path) -> None:
    findings = transcripts.run_text(path, setting(), write=False)
    assert not findings, "\n".join(["`make transcripts` writes the new answers", *findings])


@pytest.mark.skipif(not (ROOT / "solution").is_dir(), reason="the transcripts show the reference")
def test_a_wrong_answer_is_found_and_replaced(tmp_path: Path) -> None:
    path = written(tmp_path, TEXT.format(answer="0x5a000000 EC 0x17 SMC: #0x0"))
    assert len(transcripts.run_text(path, setting(), write=False)) == 2
    transcripts.run_text(path, setting(), write=True)
    assert "0x5a000000 EC 0x16 HVC: #0x0\n```\n" in path.read_text()
    assert path.read_text().endswith("  (gdb) print 6 * 7\n  $1 = 42\n  ```\n")
    assert not transcripts.run_text(path, setting(), write=False)


def test_blocks_share_the_machine_that_is_named_above_them(tmp_path: Path) -> None:
    blocks = transcripts.read_blocks(written(tmp_path, TEXT.format(answer="one\ntwo")))
    first, second = blocks
    assert first.steps == [("strata esr 0x5a000000", ["one", "two"])]
    assert second.indent == "  "
    (session,) = transcripts.sessions(blocks)
    assert session.variables["LAB"] == "1"
    assert session.variables["GIC"] == "3"
    assert session.commands == ["strata esr 0x5a000000", "print 6 * 7"]


@pytest.mark.parametrize("text", [
    "```console\n(gdb) continue\n```\n",
    "```console\n$ make debug\n(gdb) continue\n```\n",
    "```console\n$ make debug LAB=1 COLOUR=1\n(gdb) continue\n```\n",
    "```console colour\n$ make debug LAB=1\n(gdb) continue\n```\n",
    "```console\n$ make debug LAB=1\n(gdb) continue\n",
])  # fmt: skip
def test_a_malformed_transcript_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"text\.md:1"):
        list(transcripts.sessions(transcripts.read_blocks(written(tmp_path, text))))


def test_other_console_blocks_are_left_alone(tmp_path: Path) -> None:
    assert transcripts.read_blocks(written(tmp_path, "```console\n$ make hint EX=1.1\n```\n")) == []


def same(one: str, other: str, volatile: str = "") -> bool:
    return transcripts.comparable([one], volatile) == transcripts.comparable([other], volatile)


def test_what_an_edit_elsewhere_moves_is_not_compared() -> None:
    assert same("Breakpoint 1 at 0x402044d4: file solution/lab01-el2-boot/trap.c, line 159.",
                "Breakpoint 1 at 0x402050f0: file labs/lab01-el2-boot/trap.c, line 31.")
    assert same("Temporary breakpoint 2, f (esr=1) at solution/lab01-el2-boot/inject.c:90",
                "Temporary breakpoint 2, f (esr=1) at kit/lib/bits.h:19")
    assert same("=> 0x402044d8 <vectors+4>:  adrp", "=> 0x402050d8 <vectors+40>: adrp")
    assert same("VTTBR_EL2 0x100004a010000", "VTTBR_EL2 0x100004a020000")
    assert same("CVAL 0x123", "CVAL 0x124", volatile="CVAL 0x[0-9a-f]+")


def test_what_a_fault_changes_is_compared() -> None:
    assert not same("CVAL 0x123", "CVAL 0x124")
    assert not same("VTTBR_EL2 0x100004a010000", "VTTBR_EL2 0x200004a010000")
    assert not same("$1 = 0x40080000", "$1 = 0x40080004")
    assert same("vCPU 0: running, pc 0x40080000", "vCPU 0: running, pc 0x40080004")
    assert not same("$1 = 0x18807c0638", "$1 = 0x18807c0639")
    assert not same("f (esr=1) at kit/a.c:1", "f (esr=2) at kit/a.c:1")
    assert not same("trap_dispatch ()", "trap_skip_instruction ()")


def test_source_lines_and_what_show_leaves_out_are_not_shown() -> None:
    answer = "\nBreakpoint 1, f () at f.c:3\n3\tx = 1;\n"
    assert transcripts.shown(answer, "") == ["Breakpoint 1, f () at f.c:3"]
    assert transcripts.shown("a\nb\n\nc EC\nd\n", "EC") == ["...", "c EC", "..."]
