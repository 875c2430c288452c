/* SPDX-License-Identifier: MIT */
/*
 * An allocator under the names of the jemalloc that Rust programs link, beside the C library's:
 * free lists of powers of two, fed by mappings. Compiled with churn.c, whose malloc it is then.
 */
#define _GNU_SOURCE
#undef malloc
#undef calloc
#undef realloc
#undef reallocarray
#undef free
#undef memalign
#undef aligned_alloc
#undef posix_memalign
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/* Before each block: its kind, so aligned that the block can be to any power of two up to 4096. */
struct header {
	struct header *next;
	size_t kind;
};

#define MAX_BYTES (64UL << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct header *unused[32];

__attribute__((noinline)) static void *get(size_t align, size_t size)
{
	size_t kind = 0;
	struct header *header;

	if (size > MAX_BYTES)
		return NULL;
	align = align < 16 ? 16 : align;
	while ((1UL << kind) < size + align)
		kind++;
	pthread_mutex_lock(&lock);
	header = align == 16 ? unused[kind] : NULL;
	if (header)
		unused[kind] = header->next;
	pthread_mutex_unlock(&lock);
	if (!header) {
		char *pages = mmap(NULL, (1UL << kind) + align + 16, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		uintptr_t block = ((uintptr_t)pages + 16 + align - 1) & -align;

		if (pages == MAP_FAILED)
			return NULL;
		header = (struct header *)(block - 16);
	}
	header->kind = kind;
	return header + 1;
}

void *_rjem_malloc(size_t size)
{
	return get(16, size);
}

void *_rjem_calloc(size_t count, size_t size)
{
	size_t bytes;
	void *block;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	block = _rjem_malloc(bytes);
	if (block)
		memset(block, 0, bytes);
	return block;
}

void _rjem_free(void *block)
{
	struct header *header = (struct header *)block - 1;

	if (!block)
		return;
	pthread_mutex_lock(&lock);
	header->next = unused[header->kind];
	unused[header->kind] = header;
	pthread_mutex_unlock(&lock);
}

void *_rjem_realloc(void *old, size_t size)
{
	void *block;

	if (!old)
		return _rjem_malloc(size);
	if (size && size + 16 <= 1UL << ((struct header *)old - 1)->kind)
		return old;
	block = size ? _rjem_malloc(size) : NULL;
	if (block)
		memcpy(block, old, (1UL << ((struct header *)old - 1)->kind) - 16);
	if (block || !size)
		_rjem_free(old);
	return block;
}

void *_rjem_reallocarray(void *old, size_t count, size_t size)
{
	return _rjem_realloc(old, count * size);
}

void *_rjem_memalign(size_t align, size_t size)
{
	return get(align, size);
}

void *_rjem_aligned_alloc(size_t align, size_t size)
{
	return get(align, size);
}

int _rjem_posix_memalign(void **place, size_t align, size_t size)
{
	*place = get(align, size);
	return *place ? 0 : ENOMEM;
}
