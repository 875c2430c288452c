/*
 * Allocates and frees by every function of the malloc family, and knows what is live.
 *
 * Reads commands from standard input and answers each with a line:
 *   churn N   N random calls, of each thread    -> "live BYTES turned BYTES"
 *   pairs N S N times malloc(S) and free        -> "took NANOSECONDS" of CPU time
 *   pairs N   with S = 100                      -> as pairs N S
 *   leak N S  N times malloc(S), never freed    -> as churn
 *   map N S   N mappings of S bytes, kept       -> as churn
 *   turn N S  N mappings of S bytes, unmapped -> as churn
 *   drop      frees what churn has left         -> as churn
 * Live is what malloc_usable_size() says of each block, or with -DREQUESTED what was asked
 * for; turned is the sum of all that was ever allocated.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define N_BLOCKS 4096
#define N_THREADS 3

struct block {
	void *pointer;
	size_t requested;
};

struct worker {
	struct block blocks[N_BLOCKS];
	uint64_t random;
	long n_calls;
	int64_t live, turned;
};

static struct worker workers[N_THREADS];
static int n_threads = 1;
static int64_t leaked;
static char line[256];

static uint64_t next(struct worker *worker)
{
	worker->random ^= worker->random << 13;
	worker->random ^= worker->random >> 7;
	worker->random ^= worker->random << 17;
	return worker->random;
}

static int64_t size_of(const struct block *block)
{
#ifdef REQUESTED
	return block->requested;
#else
	return malloc_usable_size(block->pointer);
#endif
}

/* Mostly small, sometimes large, seldom so large that it gets a mapping of its own. */
static size_t some_size(struct worker *worker)
{
	uint64_t kind = next(worker) % 1000;

	if (kind < 900)
		return 1 + next(worker) % 1000;
	if (kind < 990)
		return 1000 + next(worker) % 30000;
	return 30000 + next(worker) % 1000000;
}

static void release(struct worker *worker, struct block *block)
{
	worker->live -= size_of(block);
	free(block->pointer);
	block->pointer = NULL;
}

/* More than there is, which the compiler is not to know. */
static volatile size_t too_much = PTRDIFF_MAX;

static void churn_once(struct worker *worker)
{
	struct block *block = &worker->blocks[next(worker) % N_BLOCKS];
	size_t size = some_size(worker), align = 16UL << next(worker) % 8;
	void *fresh = NULL;
	int64_t old = block->pointer ? size_of(block) : 0;

	switch (next(worker) % 16) {
	case 0:
		fresh = calloc(1 + size / 16, 16);
		size = (1 + size / 16) * 16;
		break;
	case 1:
		if (posix_memalign(&fresh, align, size))
			fresh = NULL;
		break;
	case 2:
		fresh = aligned_alloc(align, size = (size + align - 1) & -align);
		break;
	case 3:
		fresh = memalign(align, size);
		break;
	case 4:
		/* None of these may count. */
		free(NULL);
		if (malloc(too_much) || calloc(too_much, 3) || realloc(block->pointer, too_much))
			abort();
		return;
	case 5:
		if (!block->pointer)
			return;
		/* Freed, and NULL, as glibc does it; or a block of no size. */
		worker->live -= old;
		block->pointer = realloc(block->pointer, 0);
		block->requested = 0;
		if (block->pointer) {
			worker->live += size_of(block);
			worker->turned += size_of(block);
		}
		return;
	case 6: case 7: case 8:
		/* realloc(NULL, size) if there is nothing yet. */
		fresh = realloc(block->pointer, size);
		worker->live -= old;
		block->pointer = NULL;
		break;
	case 9:
		fresh = reallocarray(block->pointer, size, 2);
		size *= 2;
		worker->live -= old;
		block->pointer = NULL;
		break;
	default:
		fresh = malloc(size);
	}
	if (!fresh)
		abort();
	if (block->pointer)
		release(worker, block);
	block->pointer = fresh;
	block->requested = size;
	worker->live += size_of(block);
	worker->turned += size_of(block);
}

static void *work(void *argument)
{
	struct worker *worker = argument;

	for (long i = 0; i < worker->n_calls; i++)
		churn_once(worker);
	return NULL;
}

static void churn(long n_calls)
{
	pthread_t threads[N_THREADS];

	for (int i = 1; i < n_threads; i++) {
		workers[i].n_calls = n_calls;
		if (pthread_create(&threads[i], NULL, work, &workers[i]))
			abort();
	}
	workers[0].n_calls = n_calls;
	work(&workers[0]);
	for (int i = 1; i < n_threads; i++)
		pthread_join(threads[i], NULL);
}

static void drop(void)
{
	for (int i = 0; i < n_threads; i++)
		for (int j = 0; j < N_BLOCKS; j++)
			if (workers[i].blocks[j].pointer)
				release(&workers[i], &workers[i].blocks[j]);
}

static void leak(long n, size_t size)
{
	for (long i = 0; i < n; i++) {
		struct block block = { malloc(size), size };

		if (!block.pointer)
			abort();
		leaked += size_of(&block);
	}
}

static void map(long n, size_t size, int is_kept)
{
	for (long i = 0; i < n; i++) {
		void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (pages == MAP_FAILED)
			abort();
		memset(pages, 1, is_kept ? size : 1);
		if (!is_kept)
			munmap(pages, size);
	}
}

static long pairs(long n, size_t size)
{
	struct timespec before, after;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	for (long i = 0; i < n; i++) {
		void *volatile pointer = malloc(size);

		free(pointer);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	return (after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		n_threads = atoi(argv[1]) < N_THREADS ? atoi(argv[1]) : N_THREADS;
	for (int i = 0; i < N_THREADS; i++)
		workers[i].random = 0x9e3779b97f4a7c15ULL * (i + 1);
	/* Buffers of standard input and output would be allocated at first use. */
	setvbuf(stdout, malloc(4096), _IOLBF, 4096);
	setvbuf(stdin, malloc(4096), _IOFBF, 4096);
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		int64_t live = leaked, turned = leaked;
		long n = 0;
		size_t size = 0;

		if (sscanf(line, "pairs %ld %zu", &n, &size) >= 1) {
			printf("took %ld\n", pairs(n, size ? size : 100));
			continue;
		}
		if (sscanf(line, "churn %ld", &n) == 1)
			churn(n);
		else if (sscanf(line, "leak %ld %zu", &n, &size) == 2)
			leak(n, size);
		else if (sscanf(line, "map %ld %zu", &n, &size) == 2)
			map(n, size, 1);
		else if (sscanf(line, "turn %ld %zu", &n, &size) == 2)
			map(n, size, 0);
		else if (!strcmp(line, "drop\n"))
			drop();
		else
			return 2;
		live = turned = leaked;
		for (int i = 0; i < N_THREADS; i++) {
			live += workers[i].live;
			turned += workers[i].turned;
		}
		printf("live %ld turned %ld\n", (long)live, (long)turned);
	}
	return 0;
}
