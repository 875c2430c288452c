/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What heap.bpf.c shares with user space. */
#ifndef MEMLEAKD_HEAP_H
#define MEMLEAKD_HEAP_H

/* Processes that can be measured at a time. */
#define HEAP_SLOTS 64

/* Pointers remembered for allocators without a header, in all and of one process. */
#define HEAP_OBJECTS (256 * 1024)
#define HEAP_OBJECTS_OF_PROCESS (128 * 1024)

/* Processes of which stacks can be captured at a time. */
#define HEAP_CAPTURES 12

/*
 * Sizes are told apart by glibc's chunks: one class for each multiple of 16 bytes up to
 * 1 KiB, then four for each doubling; the last one is of the program's own mappings.
 */
#define HEAP_CLASSES 128
#define HEAP_CLASS_MAPPING (HEAP_CLASSES - 1)

/* Sampled allocations that stand, in all. */
#define HEAP_SAMPLED (64 * 1024)

/* What a capture's ring buffer holds, in bytes. */
#define HEAP_RING_BYTES (4 * 1024 * 1024)

/* What a probe sits on, by the arguments that it takes. */
enum heap_function {
	HEAP_MALLOC, /* (size) */
	HEAP_CALLOC, /* (count, size) */
	HEAP_REALLOC, /* (pointer, size) */
	HEAP_REALLOCARRAY, /* (pointer, count, size) */
	HEAP_FREE, /* (pointer) */
	HEAP_MEMALIGN, /* (alignment, size) */
	HEAP_POSIX_MEMALIGN, /* (place for the pointer, alignment, size) */
	HEAP_PVALLOC, /* (size), which is rounded up to pages */
	HEAP_VALLOC, /* (size), aligned to a page */
	HEAP_NEW, /* (size), which may throw */
	HEAP_NEW_ARRAY, /* (count, size), which may throw */
	HEAP_MMAP, /* (address, length, protection, flags) */
	HEAP_MUNMAP, /* (address, length) */
	HEAP_MREMAP, /* (address, old length, new length) */
};

/* How the size of what is freed is known. */
enum heap_method {
	HEAP_BY_HEADER, /* glibc: the word before the chunk */
	HEAP_BY_POINTER, /* any other: a table of pointers */
};

/*
 * A link's cookie: which slot, method and function a probe belongs to, whether it is
 * dear, and how far before it the functions of its allocator begin, and behind it
 * end, 0 if that is not known.
 */
#define HEAP_COOKIE(slot, is_stepped, method, function, before, behind) \
	((__u64)(behind) << 48 | (__u64)(before) << 32 | (__u64)(slot) << 16 | \
	 (__u64)(is_stepped) << 15 | (__u64)(method) << 8 | (function))

/* What a slot's process has done, on one CPU. Only differences mean anything. */
struct heap_totals {
	__u64 allocated_bytes;
	__u64 freed_bytes;
	__u64 allocations;
	__u64 frees;
	__u64 mapped_bytes; /* by the program itself, not by its allocator */
	__u64 unmapped_bytes;
	__u64 hits; /* of probes, each of which costs the process time */
	__u64 stepped_hits; /* of those, on an instruction that the kernel does not emulate */
	__u64 returns; /* of the hits, which were followed to the return */
	__u64 lost_full; /* the table of pointers had no room */
	__u64 lost_unreadable; /* a header that could not be read */
	__u64 unknown_frees; /* of pointers that are not in the table */
	__u64 sampled; /* allocations for which others stand in the table */
	__u64 stacks; /* that were copied */
	__u64 lost_stacks; /* for which the ring buffer had no room */
	__u64 lost_pairs; /* whose free will not be known */
	__u64 unsampled; /* allocations by operator new, while others were sampled */
};

/* Allocators that a process may have at a time. */
#define HEAP_TEXTS 4

/* What is set of a slot before its probes are attached. */
struct heap_slot {
	__u64 text_starts[HEAP_TEXTS]; /* where its allocators have their code */
	__u64 text_ends[HEAP_TEXTS];
	__u64 live; /* pointers in the table */
	__u64 sampling_shift; /* the highest so far */
};

/* Whether stacks are captured of a slot's process. User space writes it, nobody else. */
struct heap_capturing {
	__u32 capture; /* 0: no; otherwise 1 and more */
	__u32 follows; /* whether calls are followed to their return, where the pointer is */
};

/* What a capture has counted of one class of sizes, on one CPU. */
struct heap_class {
	__u64 allocated_bytes;
	__u64 freed_bytes;
};

/* A sampled allocation that stands. */
struct heap_sampled {
	__u64 id; /* 0 is none */
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 bytes; /* asked for when it was sampled */
	__u64 holds; /* bytes that it has by now */
	__u64 sampling_bytes;
};

#endif
