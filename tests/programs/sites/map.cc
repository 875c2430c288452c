/* SPDX-License-Identifier: MIT */
/* Leaks 1 KiB a step in store::remember(): a map that nothing is ever taken out of. */
#include <map>
#include <string>
#include <unistd.h>
#include <vector>

namespace store {

static std::map<unsigned int, std::string> answers;

__attribute__((noinline)) void remember(unsigned int question)
{
	answers.emplace(question, std::string(900 + question % 100, 'x'));
}

} // namespace store

namespace page {

/* Loud and clean: 8 MiB a second, a quarter of a second each. */
__attribute__((noinline)) void render(std::vector<std::vector<char>> &pages, unsigned int step)
{
	for (unsigned int index = 0; index < 16; index++) {
		std::vector<char> page(64 + (step * 977 + index * 511) % 3900, 'x');
		pages[(step * 16 + index) % pages.size()].swap(page);
	}
}

} // namespace page

int main()
{
	std::vector<std::vector<char>> pages(1024);

	if (write(1, "ready\n", 6) != 6)
		return 1;
	for (unsigned int step = 0;; step++) {
		store::remember(step);
		page::render(pages, step);
		usleep(4000);
	}
}
