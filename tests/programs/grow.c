/* SPDX-License-Identifier: MIT */
/*
 * Grows by about 2 MiB a second, in the way that its argument says:
 *   map       by mappings of its own
 *   kernel    by system calls, past the C library
 *   retain    by holes: each block is cut down to its beginning, and the next ones are larger than
 *             what was cut off
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MIB (1 << 20)
#define BLOCKS 512

static void map(void)
{
	void *pages = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		abort();
	memset(pages, 1, MIB);
}

static void ask_kernel(void)
{
	char *end = (char *)syscall(SYS_brk, 0);

	if (syscall(SYS_brk, end + MIB) != (long)(end + MIB))
		abort();
	memset(end, 1, MIB);
}

static void retain(void)
{
	static size_t size = 2000;
	static char *blocks[BLOCKS];

	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(size);
		if (!blocks[i])
			abort();
		memset(blocks[i], 1, size);
	}
	for (int i = 0; i < BLOCKS; i++)
		if (!realloc(blocks[i], 16))
			abort();
	size += 16;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	for (;;) {
		switch (argv[1][0]) {
		case 'm':
			map();
			break;
		case 'k':
			ask_kernel();
			break;
		default:
			retain();
		}
		usleep(500000);
	}
}
