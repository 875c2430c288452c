/* SPDX-License-Identifier: MIT */
/*
 * Allocates by 16384 ways: each bit of a number is a call of one or the other of two functions.
 * What is allocated by a way is freed when its turn comes again, and leak_way() leaks beside that.
 */
#include "loud.h"

#define BITS 14
#define WAYS (1u << BITS)

static void *blocks[WAYS];
static char *volatile leaked;

static void go(unsigned int way, unsigned int bits);

static APART void take_way(unsigned int way)
{
	free(blocks[way]);
	blocks[way] = malloc(65000 + way % 500);
}

static APART void odd(unsigned int way, unsigned int bits)
{
	go(way, bits);
	__asm__ volatile("");
}

static APART void even(unsigned int way, unsigned int bits)
{
	go(way, bits);
	__asm__ volatile("" : : : "memory");
}

static APART void go(unsigned int way, unsigned int bits)
{
	if (!bits)
		take_way(way);
	else if (way >> (bits - 1) & 1)
		odd(way, bits - 1);
	else
		even(way, bits - 1);
	__asm__ volatile("" : : : "memory");
}

static APART void leak_way(unsigned int step)
{
	leaked = malloc(60000 + step % 500);
}

int main(void)
{
	static struct pages pages;

	say_ready();
	for (unsigned int step = 0;; step++) {
		/* All of them in some two seconds. */
		for (unsigned int index = 0; index < 32; index++)
			go((step * 32 + index) % WAYS, BITS);
		if (step % 25 == 0)
			leak_way(step);
		render_pages(&pages, 1);
		usleep(STEP_US);
	}
}
