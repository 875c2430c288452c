/* SPDX-License-Identifier: MIT */
/* A library that is loaded and unloaded at will. Its plugin_leak() leaks. */
#include <stdlib.h>
#include <string.h>

void *volatile plugin_blocks;

__attribute__((noinline, noclone)) int plugin_leak(size_t bytes)
{
	char *block = malloc(bytes);

	if (block)
		memset(block, 1, bytes);
	plugin_blocks = block;
	return block != NULL;
}
