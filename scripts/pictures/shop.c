/* SPDX-License-Identifier: MIT */
/* A pretend service for pictures: answers requests, and keeps of each a little that it never frees. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAUSE_US 20000
#define KEPT 4096

static void *kept[KEPT];
static unsigned n_requests;
/* Bytes that a request leaves behind, on average. */
static size_t left_behind;

static __attribute__((noinline)) void *xmalloc(size_t size)
{
	void *block = malloc(size);

	if (!block)
		exit(1);
	return memset(block, 1, size);
}

/* What is kept for a while, and freed. */
static __attribute__((noinline)) void cache_page(size_t size)
{
	void **slot = &kept[n_requests % KEPT];

	free(*slot);
	*slot = xmalloc(size);
}

/* What is never freed: the greatest part of it is here, */
static __attribute__((noinline)) void remember_session(void)
{
	*(char *volatile *)&kept[0] = xmalloc(left_behind * 3 / 2);
}

/* and some there. */
static __attribute__((noinline)) void append_header(void)
{
	*(char *volatile *)&kept[0] = xmalloc(left_behind / 2);
}

static __attribute__((noinline)) void parse_request(void)
{
	void *line = xmalloc(900);

	if (n_requests % 2)
		append_header();
	free(line);
}

static __attribute__((noinline)) void render_page(void)
{
	void *page = xmalloc(30000);

	cache_page(200 + n_requests % 300);
	free(page);
}

static __attribute__((noinline)) void handle_request(void)
{
	n_requests++;
	parse_request();
	if (n_requests % 2)
		remember_session();
	render_page();
}

/* Arguments: KiB that are lost a second, and MiB that are taken before that. */
int main(int argc, char **argv)
{
	size_t before = argc > 2 ? (size_t)atoi(argv[2]) << 20 : 0;
	void *start = xmalloc(before + 1);

	left_behind = argc > 1 ? (size_t)atoi(argv[1]) * 1024 / (1000000 / PAUSE_US) : 0;
	for (;;) {
		if (left_behind)
			handle_request();
		usleep(PAUSE_US);
	}
	free(start);
}
