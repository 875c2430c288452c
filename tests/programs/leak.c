/* SPDX-License-Identifier: MIT */
/* Leaks 1 KiB every millisecond. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *volatile last; /* or the compiler sees that nobody needs the memory */

/* Not a part of main, so that it has a stack frame to be found by. */
static __attribute__((noinline)) void leak_record(void)
{
	char *record = malloc(1024);

	if (record)
		memset(record, 1, 1024);
	last = record;
}

int main(void)
{
	for (;;) {
		leak_record();
		usleep(1000);
	}
}
