// SPDX-License-Identifier: MIT
// Takes at the end of a chain of C++ calls that is known.
#include <functional>
#include <vector>

#include "take.h"

namespace shop {

template <typename T> struct Basket {
	__attribute__((noinline)) void add(const T &thing)
	{
		things.push_back(thing);
		take(); // line: add
		things.pop_back();
	}
	std::vector<T> things;
};

struct Visitor {
	virtual ~Visitor() = default;
	virtual void visit(int number) = 0;
};

struct Buyer : Visitor {
	__attribute__((noinline)) void visit(int number) override
	{
		basket.add(number); // line: visit
		basket.things.clear();
	}
	Basket<long> basket;
};

} // namespace shop

__attribute__((noinline)) void run(const std::function<void(int)> &each)
{
	each(7); // line: run
	asm volatile("");
}

int main()
{
	shop::Buyer buyer;
	shop::Visitor *volatile visitor = &buyer;
	run([&](int number) {
		visitor->visit(number); // line: lambda
		asm volatile("");
	});
	return 0;
}
