/* SPDX-License-Identifier: MIT */
/*
 * Answers a thousand requests a second, and keeps an answer of about 1 KiB of each: all of them, or
 * with an argument only the latest, of so many bytes together. Says once a second how many bytes it
 * keeps.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct answer {
	struct answer *next;
	size_t size;
	char body[];
};

static struct answer *oldest, **end = &oldest;
static size_t kept;
static uint32_t random_state = 1;

static size_t some_size(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return 256 + (random_state >> 16) % 1536;
}

static void answer(size_t most)
{
	size_t size = some_size(), used = some_size();
	struct answer *answer = malloc(sizeof(*answer) + size);
	char *volatile working = malloc(used * 16);

	if (!answer || !working)
		abort();
	memset(working, 1, used * 16);
	free(working);
	memset(answer->body, 1, size);
	answer->next = NULL;
	answer->size = size;
	*end = answer;
	end = &answer->next;
	kept += size;
	while (most && kept > most) {
		struct answer *next = oldest->next;

		kept -= oldest->size;
		free(oldest);
		oldest = next;
	}
}

int main(int argc, char **argv)
{
	size_t most = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;

	for (unsigned n = 1;; n++) {
		answer(most);
		if (n % 10 == 0)
			usleep(10000);
		if (n % 1000 == 0) {
			printf("%zu\n", kept);
			fflush(stdout);
		}
	}
}
