/* SPDX-License-Identifier: MIT */
/* Leaks 1 KiB every millisecond. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *last; /* or the compiler sees that nobody needs the memory */

static void leak(void)
{
	last = malloc(1024);
	if (last)
		memset(last, 1, 1024);
}

int main(void)
{
	for (;;) {
		leak();
		usleep(1000);
	}
}
