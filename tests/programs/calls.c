/* SPDX-License-Identifier: MIT */
/*
 * Makes N calls of one kind for each line "KIND N" of standard input, and answers with a line
 * "allocated BYTES freed BYTES calls NUMBER" by malloc_usable_size(). A call that resizes allocates
 * and frees, one that fails does neither.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CALLS 20000

static void *blocks[MAX_CALLS];
static long allocated, freed, calls;

static void *took(void *pointer)
{
	if (!pointer)
		abort();
	allocated += malloc_usable_size(pointer);
	calls++;
	return pointer;
}

static void give(void *pointer)
{
	freed += malloc_usable_size(pointer);
	calls++;
	free(pointer);
}

static void *resized(void *pointer, size_t size)
{
	freed += malloc_usable_size(pointer);
	calls++;
	return took(realloc(pointer, size));
}

static size_t some_size(long i)
{
	return 1 + i * 37 % 900;
}

/* A block of each of many sizes, so that the thread keeps some of them for reuse when it ends. */
static void *short_lived(void *unused)
{
	void *own[64];

	for (int i = 0; i < 64; i++)
		own[i] = malloc(16 * i + 8);
	for (int i = 0; i < 64; i++)
		free(own[i]);
	return unused;
}

static void threads(long n)
{
	for (long i = 0; i < n; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, short_lived, NULL))
			abort();
		pthread_join(thread, NULL);
	}
	for (int i = 0; i < 64; i++) {
		void *pointer = malloc(16 * i + 8);

		allocated += n * malloc_usable_size(pointer);
		freed += n * malloc_usable_size(pointer);
		free(pointer);
	}
	/* Those of the loop above are seen as well. */
	for (int i = 0; i < 64; i++) {
		void *pointer = malloc(16 * i + 8);

		allocated += 2 * malloc_usable_size(pointer);
		freed += 2 * malloc_usable_size(pointer);
		free(pointer);
	}
	calls += (n + 2) * 128;
}

static void in_child(long n)
{
	pid_t child = fork();

	if (child < 0)
		abort();
	if (child == 0) {
		for (long i = 0; i < n; i++)
			blocks[0] = malloc(1000);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static void failing(void)
{
	void *pointer = blocks[0], *aligned = NULL;
	struct rlimit old, tight;

	if (malloc(PTRDIFF_MAX) || malloc(SIZE_MAX) || calloc(SIZE_MAX / 2, 3) ||
	    realloc(pointer, PTRDIFF_MAX) || reallocarray(pointer, SIZE_MAX / 2, 3) ||
	    !posix_memalign(&aligned, 24, 100) || !posix_memalign(&aligned, 64, PTRDIFF_MAX) ||
	    aligned_alloc(64, PTRDIFF_MAX) || memalign(64, SIZE_MAX))
		abort();
	/* What might succeed, but not here. */
	getrlimit(RLIMIT_AS, &old);
	tight = old;
	tight.rlim_cur = 1 << 30;
	setrlimit(RLIMIT_AS, &tight);
	if (malloc(2UL << 30) || calloc(2UL << 20, 1 << 10) || realloc(pointer, 2UL << 30) ||
	    memalign(4096, 2UL << 30))
		abort();
	setrlimit(RLIMIT_AS, &old);
	free(NULL);
}

static void make(const char *kind, long n)
{
	if (!strcmp(kind, "threads"))
		return threads(n);
	if (!strcmp(kind, "fork"))
		return in_child(n);
	for (long i = 0; i < n; i++) {
		size_t size = some_size(i);
		void *pointer = NULL;

		if (!strcmp(kind, "malloc"))
			blocks[i] = took(malloc(size));
		else if (!strcmp(kind, "large"))
			give(took(malloc(200000 + size)));
		else if (!strcmp(kind, "free"))
			give(blocks[i]);
		else if (!strcmp(kind, "calloc"))
			give(took(calloc(size, 3)));
		else if (!strcmp(kind, "realloc_moves"))
			blocks[i] = resized(blocks[i], size + 1000);
		else if (!strcmp(kind, "realloc_stays"))
			blocks[i] = resized(blocks[i], malloc_usable_size(blocks[i]));
		else if (!strcmp(kind, "realloc_maps"))
			give(resized(took(malloc(500000)), 900000 + size));
		else if (!strcmp(kind, "realloc_null"))
			give(took(realloc(NULL, size)));
		else if (!strcmp(kind, "realloc_zero")) {
			pointer = took(malloc(size));
			freed += malloc_usable_size(pointer);
			calls++;
			if (realloc(pointer, 0))
				abort();
		} else if (!strcmp(kind, "reallocarray"))
			give(took(reallocarray(NULL, size, 2)));
		else if (!strcmp(kind, "memalign"))
			give(took(memalign(16UL << i % 8, size)));
		else if (!strcmp(kind, "posix_memalign")) {
			if (posix_memalign(&pointer, 8UL << i % 8, size))
				abort();
			give(took(pointer));
		} else if (!strcmp(kind, "aligned_alloc"))
			give(took(aligned_alloc(64, size)));
		else if (!strcmp(kind, "valloc"))
			give(took(valloc(size)));
		else if (!strcmp(kind, "pvalloc"))
			give(took(pvalloc(size)));
		else if (!strcmp(kind, "strdup"))
			give(took(strdup("what libc allocates for its caller")));
		else if (!strcmp(kind, "fails"))
			failing();
		else
			abort();
	}
}

int main(int argc, char **argv)
{
	static char input[4096], output[4096], line[256];
	char kind[64];
	long n;

	setvbuf(stdin, input, _IOFBF, sizeof(input));
	setvbuf(stdout, output, _IOLBF, sizeof(output));
	/* What the C library keeps for further threads comes with the first. */
	threads(1);
	if (argc < 2)
		puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%63s %ld", kind, &n) != 2 || n > MAX_CALLS)
			return 2;
		if (!strcmp(kind, "exec")) {
			execl("/proc/self/exe", argv[0], "again", NULL);
			return 3;
		}
		allocated = freed = calls = 0;
		make(kind, n);
		printf("allocated %ld freed %ld calls %ld\n", allocated, freed, calls);
	}
	return 0;
}
