"""Notes which lines of some files a Python program runs. Put into a folder of its own as sitecustomize.py, at the head
of PYTHONPATH: every Python that a check starts loads it, and then the sitecustomize that it would load without it.

HEARTH_COVER names a folder. Its file `files` has the absolute paths, one a line; each line that runs for the first time
is written to `lines` as NUMBER:LINE, at once, so that nothing is lost however a process ends. A line `!lost` says that
somebody else traces here, and that what was noted is not all. Written so that any Python 3 can run it.
"""
# pyright: basic

import os
import sys


def _begin():
    folder = os.environ.get("HEARTH_COVER", "")
    try:
        with open(os.path.join(folder, "files"), encoding="utf-8") as stream:
            paths = stream.read().split("\n")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        out = os.open(os.path.join(folder, "lines"), flags, 0o600)
    except (OSError, ValueError):
        return
    numbers = {path: number for number, path in enumerate(paths) if path}
    known = {}
    noted = set()

    def number_of(name):
        if name not in known:
            known[name] = numbers.get(os.path.realpath(name), -1)
        return known[name]

    def write(text):
        try:
            os.write(out, text)
        except OSError:
            return

    def note(number, line):
        if (number, line) not in noted:
            noted.add((number, line))
            write(b"%d:%d\n" % (number, line))

    if hasattr(sys, "monitoring"):
        _monitor(number_of, note, write)
    else:
        _trace(number_of, note, write)


def _monitor(number_of, note, write):
    monitoring = getattr(sys, "monitoring")  # noqa: B009
    tool = next((one for one in (4, 3, 5) if monitoring.get_tool(one) is None), None)
    if tool is None:
        write(b"!lost\n")
        return

    def line(code, at):
        number = number_of(code.co_filename)
        if number >= 0:
            note(number, at)
        return monitoring.DISABLE

    monitoring.use_tool_id(tool, "hearth")
    monitoring.register_callback(tool, monitoring.events.LINE, line)
    monitoring.set_events(tool, monitoring.events.LINE)


def _trace(number_of, note, write):
    import atexit
    import threading

    def local(frame, event, _):
        if event == "line":
            note(number_of(frame.f_code.co_filename), frame.f_lineno)
        return local

    def called(frame, _event, _argument):
        return local if number_of(frame.f_code.co_filename) >= 0 else None

    def ended():
        if sys.gettrace() is not called:
            write(b"!lost\n")

    sys.settrace(called)
    threading.settrace(called)
    atexit.register(ended)


def _go_on():
    """The folder is taken out of the path, and who would have been loaded without it is loaded."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [one for one in sys.path if os.path.abspath(one) != here]
    own = sys.modules.pop("sitecustomize", None)
    try:
        __import__("sitecustomize")
    except ImportError:
        if own is not None:
            sys.modules["sitecustomize"] = own


if __name__ == "sitecustomize":
    _go_on()
    _begin()
