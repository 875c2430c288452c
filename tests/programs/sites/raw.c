/* SPDX-License-Identifier: MIT */
/*
 * Has no library and no malloc, as programs of some languages: it maps memory by system calls, in
 * large pieces, and hands it out itself. keep_object() touches 1 KiB a step for the first time;
 * scratch() touches 64 KiB a step again and again.
 */
#define APART __attribute__((noinline, noclone))
#define ARENA (16UL << 20)
#define SCRATCH (64UL << 10)

#if defined(__x86_64__)
enum { SYS_WRITE = 1, SYS_MMAP = 9, SYS_NANOSLEEP = 35, SYS_EXIT = 60 };

static long call(long number, long a, long b, long c, long d)
{
	register long flags __asm__("r10") = d;
	register long file __asm__("r8") = -1;
	register long offset __asm__("r9") = 0;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(flags), "r"(file), "r"(offset)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
enum { SYS_WRITE = 64, SYS_MMAP = 222, SYS_NANOSLEEP = 101, SYS_EXIT = 93 };

static long call(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = -1;
	register long x5 __asm__("x5") = 0;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#endif

static char *arena;
static unsigned long used = ARENA;
static volatile char scratch_bytes[SCRATCH];

static APART char *take(unsigned long bytes)
{
	if (used + bytes > ARENA) {
		/* PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS */
		long pages = call(SYS_MMAP, 0, ARENA, 3, 0x22);

		if (pages < 0)
			call(SYS_EXIT, 1, 0, 0, 0);
		arena = (char *)pages;
		used = 0;
	}
	used += bytes;
	return arena + used - bytes;
}

static APART void keep_object(unsigned int step)
{
	volatile char *object = take(1024);

	for (int index = 0; index < 1024; index++)
		object[index] = (char)step;
}

static APART void scratch(unsigned int step)
{
	for (unsigned long index = 0; index < SCRATCH; index += 64)
		scratch_bytes[index] = (char)step;
}

__attribute__((noinline, used)) void loop(void)
{
	long pause[2] = { 0, 2000000 };

	call(SYS_WRITE, 1, (long)"ready\n", 6, 0);
	for (unsigned int step = 0;; step++) {
		keep_object(step);
		scratch(step);
		call(SYS_NANOSLEEP, (long)pause, 0, 0, 0);
	}
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tcall loop\n\thlt\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29, 0\n\tmov x30, 0\n\tbl loop\n\tbrk 1\n");
#endif
