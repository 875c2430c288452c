/* SPDX-License-Identifier: MIT */
/* Does nothing, for ever, as most services do most of the time. */
#include <unistd.h>

int main(void)
{
	for (;;)
		pause();
}
