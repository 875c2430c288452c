/* SPDX-License-Identifier: MIT */
/*
 * Leaks 1 KiB a step in queue_event(), which is reached by jumps: those that jump there are on no
 * stack. Its caller keeps its frame in a register, as alloca() makes it do.
 */
#include <alloca.h>

#include "loud.h"

static char *volatile queue;

static APART int queue_event(unsigned int step)
{
	char *event = calloc(1, 960 + step % 128);

	queue = event;
	return event != NULL;
}

static APART int drop_event(unsigned int step)
{
	return (int)(step % 3);
}

static int (*const handlers[])(unsigned int) = { drop_event, queue_event };

static APART int dispatch(unsigned int step)
{
	return handlers[step % 2](step);
}

static APART int route(unsigned int step)
{
	return dispatch(2 * step + 1);
}

static APART int serve(unsigned int step)
{
	volatile char *text = alloca(16 + step % 100);

	text[0] = (char)route(step);
	return text[0];
}

int main(void)
{
	static struct pages pages;

	say_ready();
	for (unsigned int step = 0;; step++) {
		serve(step);
		render_pages(&pages, 16);
		usleep(STEP_US);
	}
}
