/* SPDX-License-Identifier: MIT */
/*
 * Leaks mappings of 64 KiB in map_segment(), ten a second. Those of map_scratch() are louder and go
 * away again, and the heap is loud and clean.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "loud.h"

#define SEGMENT (64UL << 10)
#define SCRATCH (256UL << 10)

static char *volatile segments;
static char *scratch[8];

static char *new_pages(size_t bytes)
{
	char *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		abort();
	memset(pages, 1, bytes);
	return pages;
}

static APART void map_segment(void)
{
	segments = new_pages(SEGMENT);
}

static APART void map_scratch(unsigned int step)
{
	char **pages = &scratch[step % 8];

	if (*pages)
		munmap(*pages, SCRATCH);
	*pages = new_pages(SCRATCH);
}

int main(void)
{
	static struct pages pages;

	say_ready();
	for (unsigned int step = 0;; step++) {
		if (step % 25 == 0)
			map_segment();
		if (step % 8 == 0)
			map_scratch(step / 8);
		render_pages(&pages, 16);
		usleep(STEP_US);
	}
}
