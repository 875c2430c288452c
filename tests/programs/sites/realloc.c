/* SPDX-License-Identifier: MIT */
/*
 * Leaks 1 KiB a step in append_line(): buffers grow by realloc(), as logs of some connections, and
 * nobody empties them.
 */
#include "loud.h"

#define CONNECTIONS 16

static struct log {
	char *text;
	size_t bytes;
} logs[CONNECTIONS];

static APART void append_line(struct log *log, size_t bytes)
{
	char *text = realloc(log->text, log->bytes + bytes);

	if (!text)
		abort();
	memset(text + log->bytes, 'x', bytes);
	log->text = text;
	log->bytes += bytes;
}

int main(void)
{
	static struct pages pages;

	say_ready();
	for (unsigned int step = 0;; step++) {
		append_line(&logs[step % CONNECTIONS], 1000 + step % 50);
		render_pages(&pages, 16);
		usleep(STEP_US);
	}
}
