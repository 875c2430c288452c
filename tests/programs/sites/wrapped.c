/* SPDX-License-Identifier: MIT */
/* Leaks 1 KiB a step in load_image(), by way of a library that all allocate with. */
#include <stddef.h>

void *xmalloc(size_t bytes);
void xfree(void *block);

#define ALLOCATE xmalloc
#define RELEASE xfree
#include "loud.h"

static char *volatile images;

static APART void load_image(unsigned int step)
{
	size_t bytes = 1000 + step % 50;
	char *image = xmalloc(bytes);

	memset(image, 1, bytes);
	images = image;
}

int main(void)
{
	static struct pages pages;

	say_ready();
	for (unsigned int step = 0;; step++) {
		load_image(step);
		render_pages(&pages, 16);
		usleep(STEP_US);
	}
}
