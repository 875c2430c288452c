/* SPDX-License-Identifier: MIT */
/* Does nothing until its standard input ends, as it does when whoever started it is gone. */
#include <unistd.h>

int main(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}
