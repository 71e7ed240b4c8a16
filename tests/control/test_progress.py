"""What Snakemake tells by its events, understood."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prodenv.running.display import display, overall
from prodenv.running.production import EVENTS, LOGGER, _follow, _read
from prodenv.running.progress import ANY, INTERRUPTED, Progress

LATER = "interrupted; the next run continues from here"
Events = list[dict[str, Any]]


def stats(**counts: int) -> dict[str, Any]:
    return {"event": "run_info", "stats": counts | {"total": sum(counts.values())}}


def begun(step: str, number: int) -> dict[str, Any]:
    files = {"output": [f"generated/l200-p03-{step}.lh5 (update)"], "log": [f"log/{step}.log"]}
    return {"event": "job_info", "rule_name": step, "jobid": number} | files


def finished(number: int) -> dict[str, Any]:
    return {"event": "job_finished", "job_id": number}


def failure(step: str, number: int) -> Events:
    return [begun(step, number) | {"event": "job_error", "output": [f"generated/{step}.lh5 (update)"]}]


def killed(step: str, number: int, by: str = "died with <Signals.SIGINT: 2>.") -> Events:
    text = f"RuleException:\nCommand 'set -euo pipefail; python' {by}"
    return [{"event": "error", "exception": "RuleException", "text": text}, *failure(step, number)]


BEGIN: Events = [stats(tier_raw=2, tier_dsp=2, no_step=1), begun("tier_raw", 1), begun("tier_dsp", 2)]
TERMINATING: Events = [{"event": "", "text": "Terminating processes on user request, this might take some time."}]


def lines(events: Events) -> list[str]:
    return [json.dumps(event) for event in [*BEGIN, *events]]


def progress(events: Events) -> Progress:
    found = Progress()
    for line in lines(events):
        found.feed(line)
    return found


@pytest.mark.parametrize(
    "events",
    [
        [],
        TERMINATING,
        TERMINATING + killed("tier_dsp", 2) + killed("tier_raw", 1),
        killed("tier_dsp", 2) + TERMINATING + failure("tier_raw", 1),
        killed("tier_dsp", 2, "returned non-zero exit status 130.") + TERMINATING,
        TERMINATING + failure("tier_dsp", 2),
    ],
)
def test_an_interrupted_run_says_so_in_one_line(events: Events, tmp_path: Path) -> None:
    found = progress(events)
    assert list(found.last_words(tmp_path, INTERRUPTED)) == [LATER]
    assert [count.failed for count in found.steps.values()] == [0, 0]


def test_what_failed_before_the_interrupt_is_told(tmp_path: Path) -> None:
    record = tmp_path / "generated/.lineage/tier_raw.lh5.failed.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"error": "error: no such file\nhint: look"}))
    found = progress(failure("tier_raw", 1) + TERMINATING + killed("tier_dsp", 2))
    said = list(found.last_words(tmp_path, INTERRUPTED))
    assert said == [
        "error: tier_raw failed to make tier_raw.lh5",
        "  error: no such file",
        "  hint: look",
        f"log: {tmp_path}/log/tier_raw.log",
        LATER,
    ]
    assert found.steps["tier_raw"].failed == 1


def test_without_a_record_of_the_failure_the_end_of_the_log_is_told(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log/tier_raw.log").write_text("one\ntwo\n")
    said = list(progress(failure("tier_raw", 1)).last_words(tmp_path, 1))
    assert said[1:3] == ["  one", "  two"]


def test_an_error_that_is_only_printed_is_told_instead_of_a_log_without_one(tmp_path: Path) -> None:
    """Programs of other flows may print their traceback, and log what they did until then."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log/tier_raw.log").write_text("[INFO] found table\n")
    found = progress(failure("tier_raw", 1))
    for line in (
        "Traceback (most recent call last):",
        '  File "x.py", line 1',
        "ValueError: no counts",
        "Shutting down",
    ):
        found.hear(line)
    said = list(found.last_words(tmp_path, 1))
    assert said[1:4] == ["  Traceback (most recent call last):", '    File "x.py", line 1', "  ValueError: no counts"]
    assert said[4] == f"log: {tmp_path}/log/tier_raw.log"
    (tmp_path / "log/tier_raw.log").write_text("[ERROR] KeyError: 'V01'\n")
    assert list(found.last_words(tmp_path, 1))[1] == "  [ERROR] KeyError: 'V01'"


def test_a_failure_that_snakemake_tells_twice_is_one() -> None:
    found = progress(failure("tier_raw", 1) * 2)
    assert (found.failed, len(found.failures)) == (1, 1)
    found.begin()
    for line in lines(failure("tier_raw", 1)):
        found.feed(line)
    assert found.failed == 2, "another start numbers its jobs anew"


def test_rules_of_any_name_are_told_of_where_the_flow_is_not_ours() -> None:
    found = Progress(rules=ANY)
    found.feed(json.dumps(stats(build_dsp=2, gen_filelist=1, all=1)))
    assert {step: count.total for step, count in found.steps.items()} == {"build_dsp": 2, "gen_filelist": 1}


def test_a_job_killed_by_somebody_else_has_failed(tmp_path: Path) -> None:
    found = progress(killed("tier_dsp", 2, "died with <Signals.SIGTERM: 15>.") + failure("tier_raw", 1))
    assert next(found.last_words(tmp_path, 1)) == "error: tier_dsp failed to make tier_dsp.lh5 (and 1 more job failed)"
    assert [count.failed for count in found.steps.values()] == [1, 1]


def test_without_a_failed_job_the_end_of_the_output_is_told(tmp_path: Path) -> None:
    found = Progress()
    for line in ("error: wrong", "hint: right", "log: x"):
        found.hear(line)
    assert list(found.last_words(tmp_path, 2)) == ["error: wrong", "hint: right"]
    odd = Progress()
    odd.hear("something odd")
    assert list(odd.last_words(tmp_path, 1)) == ["something odd"]
    nothing = progress([{"event": "", "text": "Nothing to be done (all requested files are present and up to date)."}])
    assert next(nothing.last_words(tmp_path, 0)).startswith("nothing to be done")


PORTION: Events = [{"event": "portion", "later": {"tier_raw": 3}}]


@pytest.mark.parametrize(
    ("events", "code", "goes_on"),
    [
        (PORTION, 0, True),
        (PORTION, 1, True),
        ([*PORTION, {"event": "start", "keeps_going": True}], 1, True),
        ([*PORTION, {"event": "start", "keeps_going": False}], 0, True),
        ([*PORTION, {"event": "start", "keeps_going": False}], 1, False),
        (PORTION, 2, False),
        (PORTION, INTERRUPTED, False),
        (PORTION, -9, False),
        ([*PORTION, {"event": "error", "exception": "LockException", "text": "Error: Directory"}], 1, False),
        ([], 0, False),
    ],
)
def test_snakemake_is_started_again_where_it_may_go_on(events: Events, code: int, *, goes_on: bool) -> None:
    assert progress(events).is_to_go_on(code) == goes_on


def test_a_lock_is_known_by_its_exception() -> None:
    assert progress([{"event": "error", "exception": "LockException", "text": "Error: Directory"}]).is_locked
    assert not progress([{"event": "error", "exception": "RuleException", "text": "LockException"}]).is_locked


def test_snakemake_is_heard_to_its_end_where_nobody_looks_any_more() -> None:
    def draw() -> None:
        raise BrokenPipeError

    found = Progress()
    _follow(lines(TERMINATING), found, draw)
    assert found.interrupted


def test_steps_are_counted_and_what_runs_now_is_told() -> None:
    found = progress([finished(1), begun("tier_raw", 3)])
    assert {step: (c.total, c.done, len(c.running)) for step, c in found.steps.items()} == {
        "tier_raw": (2, 1, 1),
        "tier_dsp": (2, 0, 1),
    }
    assert found.now() == ["tier_dsp l200-p03", "tier_raw l200-p03"]
    assert overall(found).startswith("1 of 4 jobs")
    assert overall(found).endswith(", now tier_dsp l200-p03 and 1 more")
    assert found.closing(72.4, "1 detector failed") == "1 of 4 jobs done in 1 min 12 s; 1 detector failed"


def test_the_time_left_comes_from_earlier_runs_and_from_this_one() -> None:
    unknown = progress([])
    assert unknown.remaining() is None
    found = Progress(cores=2)
    found.feed(json.dumps({"event": "took", "steps": {"tier_raw": [10, 1], "tier_dsp": [20, 4]}}))
    found.feed(json.dumps(stats(tier_raw=4, tier_dsp=2)))
    # on two cores: four jobs of 10 s on one core each, two of 20 s on both
    assert found.remaining() == pytest.approx(4 * 10 / 2 + 2 * 20)
    found.feed(json.dumps(begun("tier_raw", 1)))
    found.steps["tier_raw"].running[1] -= 4.0
    found.feed(json.dumps(finished(1)))
    assert found.remaining() == pytest.approx(3 * 4 / 2 + 2 * 20, abs=0.5)


def test_on_a_cluster_the_queue_is_told_and_no_time_that_is_left() -> None:
    found = Progress(cores=0)
    for event in ({"event": "took", "steps": {"tier_raw": [10.0, 1]}}, stats(tier_raw=40), begun("tier_raw", 1)):
        found.feed(json.dumps(event))
    found.queue = "4 on n1, n2; 8 waiting (Resources)"
    assert overall(found) == "0 of 40 jobs, queue: 4 on n1, n2; 8 waiting (Resources)"


def test_the_plugin_writes_what_progress_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through Snakemake's own registry, with the records that Snakemake makes."""
    registry = pytest.importorskip("snakemake_interface_logger_plugins.registry")
    interface = pytest.importorskip("snakemake_interface_logger_plugins.common")
    reader, writer = os.pipe()
    monkeypatch.setenv(EVENTS, str(writer))
    handler = registry.LoggerPluginRegistry().get_plugin(LOGGER).log_handler(None, None)
    found = Progress()
    events = interface.LogEvent
    for message, extra in (
        ("Job stats", {"event": events.RUN_INFO, "stats": {"tier_raw": 1, "total": 1}}),
        (None, begun("tier_raw", 5) | {"event": events.JOB_INFO}),
        ("Finished", {"event": events.JOB_FINISHED, "job_id": 5}),
        ("LockException", {"event": events.ERROR, "exception": "LockException"}),
        ("Terminating processes on user request, wait", {}),
    ):
        record = logging.LogRecord("snakemake", logging.INFO, "", 0, message, None, None)
        record.__dict__.update(extra)
        handler.emit(record)
    os.close(writer)
    with os.fdopen(reader) as stream:
        _follow(stream, found, lambda: None)
    assert (found.total, found.done, found.is_locked, found.interrupted) == (1, 1, True, True)


def test_the_plugin_is_silent_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = pytest.importorskip("snakemake_logger_plugin_dataprod")
    reader, writer = os.pipe()
    monkeypatch.setenv(EVENTS, str(writer))
    handler = plugin.LogHandler(None, None)
    os.close(reader)
    record = logging.LogRecord("snakemake", logging.INFO, "", 0, "said", None, None)
    handler.emit(record)
    handler.emit(record)
    assert handler._pipe is None
    os.close(writer)
    monkeypatch.delenv(EVENTS)
    plugin.LogHandler(None, None).emit(record)


DRAW = """
import json, sys, time
from prodenv.running.display import display
from prodenv.running.progress import Progress
progress = Progress(2)
progress.feed(json.dumps({"event": "took", "steps": {"tier_raw": [60, 1], "tier_dsp": [60, 1]}}))
with display(progress) as draw:
    for line in json.loads(sys.argv[1]):
        progress.feed(line)
        draw()
    time.sleep(0.3)
"""


def on_a_terminal(events: list[str], columns: int) -> list[str]:
    """The lines that a terminal shows last, without colours."""
    import fcntl
    import pty
    import re
    import struct
    import subprocess
    import sys
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environ |= {"TERM": "xterm", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    words = [sys.executable, "-c", DRAW, json.dumps(events)]
    with subprocess.Popen(words, stdin=theirs, stderr=theirs, stdout=theirs, env=environ) as child:
        os.close(theirs)
        seen = b""
        while True:
            try:
                read = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not read:
                break
            seen += read
        assert child.wait(timeout=60) == 0, seen
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())
    return [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]


def test_on_a_terminal_of_80_columns_bars_are_whole_and_all_jobs_have_a_line() -> None:
    shown = on_a_terminal([json.dumps(event) for event in [*BEGIN, finished(1)]], 80)
    assert max(map(len, shown)) <= 80
    raw = [line for line in shown if "tier raw" in line][-1]
    assert "━━━" in raw and "1/2" in raw and "…" not in raw
    whole = [line for line in shown if "of 4 jobs" in line][-1]
    assert whole.startswith("  1 of 4 jobs, ") and " left, now tier_dsp l200-p03" in whole


def test_a_long_name_of_what_runs_is_cut_and_no_bar_is() -> None:
    long = begun("tier_dsp", 2) | {"output": [f"generated/{'l200-' * 20}tier_dsp.lh5"]}
    shown = on_a_terminal([json.dumps(event) for event in [BEGIN[0], long]], 60)
    assert max(map(len, shown)) <= 60
    assert [line for line in shown if "jobs" in line][-1].endswith("…")
    assert "━━━" in [line for line in shown if "tier dsp" in line][-1]


def test_that_code_is_compiled_is_told_once_while_jobs_wait(capsys: pytest.CaptureFixture[str]) -> None:
    """Also before the first event; the line is the one that jobs print."""
    from dataflow.jobs.compiled import announcement

    found = Progress()
    with display(found) as draw:
        found.hear(announcement(Path("/home/user/.cache/prodenv/compiled/1")))
        found.hear("something else")
        draw()
        draw()
        said = capsys.readouterr().err
    assert said.count("compiling the signal processors") == 1
    assert "once" in said and "/home/user/.cache/prodenv/compiled/1" in said and "something else" not in said


def printing(*lines: str) -> subprocess.Popen[str]:
    """A process that prints lines."""
    words = [sys.executable, "-c", "import sys; print(*sys.argv[1:], sep=chr(10))", *lines]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_what_is_printed_is_read_to_the_end_where_nobody_looks() -> None:
    """Jobs would wait for a full pipe for ever."""
    from dataflow.jobs.compiled import announcement

    def draw() -> None:
        found.news.clear()
        raise BrokenPipeError

    found = Progress()
    with printing("first", announcement(Path("/place")), "error: the last one") as child:
        _read(child, found, draw)
    assert list(found.tail) == ["first", announcement(Path("/place")), "error: the last one"]


def test_events_and_what_is_printed_are_drawn_one_at_a_time() -> None:
    from dataflow.jobs.compiled import announcement

    drawn: list[bool] = []
    found = Progress()

    def draw() -> None:
        drawn.append(found.in_turn.locked())
        found.news.clear()

    with printing(announcement(Path("/place"))) as child:
        _read(child, found, draw)
    _follow(lines(TERMINATING), found, draw)
    assert len(drawn) > 1 and all(drawn) and not found.in_turn.locked()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (1, "reading 1 new DAQ file (700.0 kB) to identify it"),
        (2, "reading 2 new DAQ files (700.0 kB) to identify them"),
    ],
)
def test_files_that_are_read_for_their_identity_are_told(files: int, said: str) -> None:
    progress = Progress()
    progress.feed(json.dumps({"event": "reading", "files": files, "bytes": 700_000}))
    assert list(progress.news) == [said]
