/* SPDX-License-Identifier: MIT */
/*
 * Leaks 2 KiB a millisecond of memory that no allocator knows of: it maps an arena by a system call
 * of its own. What touches it first is fill(), which calls nothing, and so keeps no frame.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone))
#define ARENA (1UL << 30)
#define OBJECT 2048

static char *arena;
static unsigned long used;

static APART void fill(volatile char *object, unsigned long step)
{
	for (int index = 0; index < OBJECT; index += 64)
		object[index] = (char)step;
}

static APART unsigned long keep_object(unsigned long step)
{
	fill(arena + used, step);
	used += OBJECT;
	return step + 1; /* or fill() would be jumped to, and this have no frame either */
}

int main(void)
{
	long pages = syscall(SYS_mmap, NULL, ARENA, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (pages == -1)
		return 1;
	arena = (char *)pages;
	/* One fault for each page, and not for each of 512. */
	if (madvise(arena, ARENA, MADV_NOHUGEPAGE))
		return 1;
	for (unsigned long step = 0; used < ARENA; usleep(1000))
		step = keep_object(step);
	return 0;
}
