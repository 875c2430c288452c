/* SPDX-License-Identifier: MIT */
/*
 * Of eight threads, or as many as the first argument says, all are loud, and the last one leaks
 * 1 KiB a step in log_line() beside that.
 */
#define IN_FLIGHT 128
#include <pthread.h>

#include "loud.h"

static int n_threads = 8;
static char *volatile lines;

static APART void log_line(unsigned int step)
{
	size_t bytes = 1000 + step % 50;
	char *line = malloc(bytes);

	if (line)
		memset(line, 'x', bytes);
	lines = line;
}

static void *work(void *argument)
{
	long index = (long)argument;
	struct pages *pages = calloc(1, sizeof(*pages));

	if (!pages)
		abort();
	pages->seed = (unsigned int)index * 7919;
	for (unsigned int step = 0;; step++) {
		if (index == n_threads - 1)
			log_line(step);
		render_pages(pages, 2);
		usleep(STEP_US);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_attr_t attributes;

	if (argc > 1)
		n_threads = atoi(argv[1]);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 << 10);
	for (long index = 0; index < n_threads; index++) {
		pthread_t thread;

		if (pthread_create(&thread, &attributes, work, (void *)index))
			abort();
	}
	say_ready();
	pause();
}
