/* SPDX-License-Identifier: MIT */
/* Leaks 1 KiB every millisecond, and says what it has: the time since boot in seconds, and bytes. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char *volatile last; /* or the compiler sees that nobody needs the memory */

int main(void)
{
	unsigned long long bytes = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned int turn = 0;; turn++) {
		char *record = malloc(1024);

		if (record) {
			memset(record, 1, 1024);
			/* With the word before it, in which the allocator keeps its size. */
			bytes += malloc_usable_size(record) + sizeof(size_t);
		}
		last = record;
		if (turn % 100 == 0) {
			struct timespec now;

			clock_gettime(CLOCK_BOOTTIME, &now);
			printf("%lld.%03ld %llu\n", (long long)now.tv_sec, now.tv_nsec / 1000000,
			       bytes);
		}
		usleep(1000);
	}
}
