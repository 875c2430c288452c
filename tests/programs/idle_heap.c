/* SPDX-License-Identifier: MIT */
/*
 * Allocates a little, says "ready" and does nothing until its standard input ends. Built with
 * OPENS it first opens the library of that name, once it is told to by a byte, and says "opened".
 */
#include <stdlib.h>
#include <unistd.h>
#ifdef OPENS
#include <dlfcn.h>
#endif

char *volatile held;

int main(void)
{
	char byte;

	held = calloc(3, 5);
	free(held);
	held = realloc(malloc(100), 200);
	write(STDOUT_FILENO, "ready\n", 6);
#ifdef OPENS
	if (read(STDIN_FILENO, &byte, 1) <= 0 || !dlopen(OPENS, RTLD_NOW))
		return 1;
	write(STDOUT_FILENO, "opened\n", 7);
#endif
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
