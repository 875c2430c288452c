"""Answers a thousand requests a second, and keeps what was said in each, about 1 KiB: all of it, or
with an argument only the latest, of so many bytes together. Says once a second how many bytes it
keeps."""

import random
import sys
import time
from collections import OrderedDict

most = int(sys.argv[1]) if len(sys.argv) > 1 else float("inf")
answers = OrderedDict()
kept = 0


class Request:
    """Garbage that only the collector of cycles can find."""

    def __init__(self, number):
        self.words = [f"{word} of {number}" for word in range(20)]
        self.itself = self


number = 0
while True:
    number += 1
    request = Request(number)
    # Small enough for Python's own allocator, as most of what Python programs keep.
    pieces = [bytes(random.randrange(32, 256)) for _ in range(6)]
    size = sum(map(len, pieces))
    answers[number] = {"words": len(request.words), "size": size, "pieces": pieces}
    kept += size
    while kept > most:
        kept -= answers.popitem(last=False)[1]["size"]
    if number % 10 == 0:
        time.sleep(0.01)
    if number % 1000 == 0:
        print(kept, flush=True)
