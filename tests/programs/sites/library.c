/* SPDX-License-Identifier: MIT */
/* A library between a program and malloc, as many have one. */
#include <stdlib.h>

void *xmalloc(size_t bytes)
{
	void *block = malloc(bytes);

	if (!block)
		abort();
	return block;
}

void xfree(void *block)
{
	free(block);
}
