/* SPDX-License-Identifier: MIT */
/* Leaks a session of 1 KiB a step in SessionTable::open(). */
#include <deque>
#include <memory>
#include <string>
#include <unistd.h>

struct Session {
	char name[1000];
	unsigned int id;
};

class SessionTable {
public:
	__attribute__((noinline)) void open(unsigned int id);

private:
	Session *volatile last = nullptr;
};

void SessionTable::open(unsigned int id)
{
	auto *session = new Session();

	session->id = id;
	last = session;
}

/* Loud and clean: 8 MiB a second, a quarter of a second each. */
class Renderer {
public:
	__attribute__((noinline)) void render(unsigned int step);

private:
	std::deque<std::unique_ptr<std::string>> pages;
};

void Renderer::render(unsigned int step)
{
	for (unsigned int index = 0; index < 16; index++) {
		pages.push_back(std::make_unique<std::string>(64 + (step * 977 + index * 511) % 3900, 'x'));
		if (pages.size() > 1024)
			pages.pop_front();
	}
}

int main()
{
	SessionTable sessions;
	Renderer renderer;

	if (write(1, "ready\n", 6) != 6)
		return 1;
	for (unsigned int step = 0;; step++) {
		sessions.open(step);
		renderer.render(step);
		usleep(4000);
	}
}
