/* SPDX-License-Identifier: MIT */
/*
 * What is loud and clean: with 16 blocks a step 8 MiB a second, each freed a quarter of a second
 * later. At any moment 2 MiB of it are in flight, more than leaks beside it in some seconds.
 */
#ifndef LOUD_H
#define LOUD_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef ALLOCATE
#define ALLOCATE malloc
#define RELEASE free
#endif
#ifndef IN_FLIGHT
#define IN_FLIGHT 1024
#endif

#define STEP_US 4000
#define APART __attribute__((noinline, noclone))

struct pages {
	unsigned int seed;
	size_t at;
	void *blocks[IN_FLIGHT];
};

static APART void render_pages(struct pages *pages, int n_blocks)
{
	while (n_blocks--) {
		void **block = &pages->blocks[pages->at++ % IN_FLIGHT];
		size_t bytes;

		pages->seed = pages->seed * 1103515245 + 12345;
		bytes = 64 + (pages->seed >> 8) % 3968;
		RELEASE(*block);
		*block = ALLOCATE(bytes);
		if (*block)
			memset(*block, 1, bytes);
	}
}

/* Whoever has started the program may go on. */
static void say_ready(void)
{
	if (write(1, "ready\n", 6) != 6)
		abort();
}

#endif
