#!/usr/bin/python3
"""Runs a program in a terminal, types keys, and writes what the screen shows as HTML.

terminal.py COLUMNS ROWS PROGRAM ARGUMENT... -- [SECONDS|KEYS|=FILE]...

After the two dashes: a number waits for so many seconds, =FILE writes the screen, anything else is
typed (with \\r and \\x1b as in Python).
"""

import fcntl
import html
import os
import pty
import select
import struct
import sys
import termios
import time

import pyte

BACKGROUND, FOREGROUND = "#16181d", "#d5d8df"
# As many terminals have them.
COLOURS = {
    "black": "#45485080", "red": "#f0717a", "green": "#8fc17a", "brown": "#e2b866", "blue": "#6fa8f5",
    "magenta": "#c58af0", "cyan": "#5fbfc6", "white": "#d5d8df",
    "brightblack": "#7d828e", "brightred": "#ff8b92", "brightgreen": "#a8d894", "brightbrown": "#f5cf82",
    "brightblue": "#8dbcff", "brightmagenta": "#d9a6ff", "brightcyan": "#7fd9df", "brightwhite": "#ffffff",
}
PAGE = """<!doctype html><meta charset="utf-8"><style>
html, body {{ margin: 0; background: {background}; }}
pre {{ margin: 0; padding: 14px 18px; color: {foreground}; font: 14px/1.16 "DejaVu Sans Mono", monospace; }}
</style><pre>{lines}</pre>
"""


def colour(name, default):
    if name == "default":
        return default
    return COLOURS.get(name) or "#" + name


def span(cell, text):
    foreground, background = colour(cell.fg, FOREGROUND), colour(cell.bg, BACKGROUND)
    if cell.reverse:
        foreground, background = background, foreground
    style = f"color:{foreground};background:{background}"
    if cell.bold:
        style += ";font-weight:bold"
    if cell.underscore:
        style += ";text-decoration:underline"
    return f'<span style="{style}">{html.escape(text)}</span>'


def line(screen, row):
    """A row in spans of the same look."""
    spans, text, before = [], "", None
    for column in range(screen.columns):
        cell = screen.buffer[row][column]
        look = cell._replace(data="")
        if before is not None and look != before:
            spans.append(span(before, text))
            text = ""
        before = look
        text += cell.data
    spans.append(span(before, text))
    return "".join(spans)


def page(screen):
    lines = "\n".join(line(screen, row) for row in range(screen.lines))
    return PAGE.format(background=BACKGROUND, foreground=FOREGROUND, lines=lines)


def follow(terminal, stream, seconds):
    """Takes in for so long what the program prints."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                stream.feed(os.read(terminal, 65536))
            except OSError:
                sys.exit("the program has ended")


def main():
    columns, rows = int(sys.argv[1]), int(sys.argv[2])
    end = sys.argv.index("--")
    program, steps = sys.argv[3:end], sys.argv[end + 1:]
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8")
        os.environ.pop("NO_COLOR", None)
        os.execvp(program[0], program)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    for step in steps:
        if step.startswith("="):
            with open(step[1:], "w", encoding="utf-8") as file:
                file.write(page(screen))
        elif step.replace(".", "", 1).isdigit():
            follow(terminal, stream, float(step))
        else:
            os.write(terminal, step.encode().decode("unicode_escape").encode())
            follow(terminal, stream, 0.3)
    os.write(terminal, b"q")
    os.close(terminal)
    os.waitpid(pid, 0)


main()
