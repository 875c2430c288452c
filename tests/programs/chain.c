/* SPDX-License-Identifier: MIT */
/* Takes at the end of a chain of calls that is known; with an argument, on a thread. */
#include <pthread.h>
#include <string.h>

#include "take.h"

volatile int sink;

/* Put into its caller by the compiler. */
static inline __attribute__((always_inline)) int inlined(int n)
{
	take(); /* line: inlined */
	return n + sink;
}

__attribute__((noinline)) int innermost(int n)
{
	char room[100];

	memset(room, n, sizeof(room));
	sink += room[n & 63];
	return inlined(n) + room[sink & 63]; /* line: innermost */
}

/* Needs every register that a function has to keep, the frame pointer among them. */
__attribute__((noinline)) int middle(int a, int b, int c, int d, int e, int f)
{
	int g = a * b + sink, h = c * d + sink, i = e * f + sink, j = a + sink;
	int k = innermost(a); /* line: middle */

	return k + g * h + i * j + a * b * c * d * e * f * sink;
}

__attribute__((noinline)) int again(int n)
{
	int m = n + sink, k = n > 0 ? again(n - 1) : middle(m, 2, 3, 4, 5, 6); /* line: again */

	/* No loop, and no jump. */
	__asm__ volatile("" : "+r"(k));
	return k + m;
}

__attribute__((noinline)) void *outermost(void *argument)
{
	sink = again(DEPTH); /* line: outermost */
	return argument;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	(void)argv;
	if (argc == 1) {
		outermost(NULL); /* line: main */
		return 0;
	}
	if (pthread_create(&thread, NULL, outermost, NULL))
		return 1;
	pthread_join(thread, NULL);
	return 0;
}
