/* SPDX-License-Identifier: MIT */
/* Allocates as much as the leaking program does, and frees it all: 64 MiB for good, no growth. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCKS 65536

static char *blocks[BLOCKS];

static void renew(size_t index)
{
	free(blocks[index]);
	blocks[index] = malloc(1024);
	if (blocks[index])
		memset(blocks[index], 1, 1024);
}

int main(void)
{
	for (size_t index = 0; index < BLOCKS; index++)
		renew(index);
	for (size_t index = 0;; index = (index + 1) % BLOCKS) {
		renew(index);
		usleep(1000);
	}
}
