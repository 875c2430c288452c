/* SPDX-License-Identifier: MIT */
/* Leaks 1 KiB a step, or RECORD bytes, in keep_record(), some calls deep. */
#include "loud.h"

#ifndef RECORD
#define RECORD 1000
#endif

static char *volatile kept;

static APART void keep_record(size_t bytes)
{
	char *record = malloc(bytes);

	if (record)
		memset(record, 1, bytes);
	kept = record;
}

static APART int parse_body(unsigned int step)
{
	volatile char text[300];

	text[step % sizeof(text)] = (char)step;
	keep_record(RECORD + step % 50);
	return text[step % sizeof(text)];
}

static APART int handle_request(unsigned int step)
{
	volatile int parsed[7];

	parsed[step % 7] = parse_body(step);
	return parsed[step % 7] + 1;
}

int main(void)
{
	static struct pages pages;

	say_ready();
	for (unsigned int step = 0;; step++) {
		handle_request(step);
		render_pages(&pages, 16);
		usleep(STEP_US);
	}
}
