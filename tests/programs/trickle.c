/* SPDX-License-Identifier: MIT */
/* Leaks 64 KiB a second: so little that hundreds can do so at once. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *volatile last; /* or the compiler sees that nobody needs the memory */

int main(void)
{
	for (;;) {
		char *record = malloc(8192);

		if (record)
			memset(record, 1, 8192);
		last = record;
		usleep(125000);
	}
}
