/* SPDX-License-Identifier: MIT */
/* Leaks 1 KiB every millisecond; for so many seconds it also fills a cache, twice as fast. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char *volatile last; /* or the compiler sees that nobody needs the memory */

static __attribute__((noinline)) void leak_record(void)
{
	char *record = malloc(1000);

	if (record)
		memset(record, 1, 1000);
	last = record;
}

static __attribute__((noinline)) void fill_cache(void)
{
	char *record = malloc(2000);

	if (record)
		memset(record, 1, 2000);
	last = record;
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 0);

	for (;;) {
		leak_record();
		if (time(NULL) < end)
			fill_cache();
		usleep(1000);
	}
}
