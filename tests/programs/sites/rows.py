# SPDX-License-Identifier: MIT
# Calls the module of extension.c, and is itself loud and clean.
import itertools
import time

import extension


def main():
    print("ready", flush=True)
    for step in itertools.count():
        extension.keep_row(step)
        extension.render()
        [bytes(600 + step % 100) for _ in range(8)]
        time.sleep(0.004)


main()
