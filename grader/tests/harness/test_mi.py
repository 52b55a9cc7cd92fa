# SPDX-License-Identifier: MIT
"""GDB/MI records as GDB prints them."""

from __future__ import annotations

from grader.machine.mi import parse, quote


def test_result_with_tuples_and_lists() -> None:
    record = parse('12^done,stack=[frame={level="0",func="main",args=[]},frame={level="1"}]')
    assert record is not None
    assert (record.token, record.kind, record.name) == (12, "^", "done")
    assert record.results["stack"] == [{"level": "0", "func": "main", "args": []}, {"level": "1"}]


def test_stop_record() -> None:
    record = parse('*stopped,reason="breakpoint-hit",disp="keep",bkptno="3",thread-id="2"')
    assert record is not None
    assert record.results["bkptno"] == "3"


def test_stream_with_escapes() -> None:
    record = parse('~"a\\"b\\n\\033[1m\\\\"')
    assert record is not None
    assert record.text == 'a"b\n\x1b[1m\\'


def test_repeated_names_become_a_list() -> None:
    record = parse('^done,bkpt={number="1"},bkpt={number="2"}')
    assert record is not None
    assert record.results["bkpt"] == [{"number": "1"}, {"number": "2"}]


def test_prompt_and_foreign_text_are_no_records() -> None:
    assert parse("(gdb) ") is None
    assert parse("warning: something") is None


def test_quoting_is_undone_by_parsing() -> None:
    text = 'print "x\\y"\n'
    record = parse("~" + quote(text))
    assert record is not None
    assert record.text == text
