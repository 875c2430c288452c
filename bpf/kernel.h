/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef MEMLEAKD_KERNEL_H
#define MEMLEAKD_KERNEL_H

/* Sampling rates are powers of two: one address in 1 << shift. */
#define KERNEL_MAX_SHIFT 12

/* Frames of a stack. Some of them are those of tracing, before the allocation. */
#define KERNEL_FRAMES 48

/* Names that are asked for at once, and their length: KSYM_SYMBOL_LEN is more, but rare. */
#define KERNEL_NAMES 32
#define KERNEL_NAME_BYTES 128

/* A process, as maps are keyed by it. */
struct kernel_owner_key {
	__u64 start_time_ns; /* since boot, suspended time included */
	__u32 tgid; /* in the host's numbering */
	__u32 reserved;
};

/* What a process has allocated, each sampled object counted as often as its weight says. */
struct kernel_owner {
	__u64 allocated_bytes;
	__u64 freed_bytes;
	__u64 calls;
	__u64 lost; /* allocations that found the table of objects full */
	__s64 objects; /* of it in the table, not weighted */
	__u32 pid; /* in the reader's pid namespace, 0: outside */
	__u32 ended; /* no thread of it is left */
};

/* An allocation that has not been freed, by its address. */
struct kernel_object {
	struct kernel_owner_key owner;
	__u64 time_ns; /* of the allocation, CLOCK_MONOTONIC */
	__u64 call_site;
	__u64 bytes;
	__u32 shift; /* the sampling when it was allocated */
	__s32 stack; /* its number in the table of stacks, negative: not kept */
};

/* Addresses, and how the kernel names them: "name+0x1c/0x220 [module]". */
struct kernel_names {
	__u64 addresses[KERNEL_NAMES];
	__u64 names[KERNEL_NAMES][KERNEL_NAME_BYTES / 8]; /* text, which ends with a zero */
};

/* Counted on each CPU. */
struct kernel_counters {
	__u64 events; /* allocations and frees, by their weight */
	__u64 objects_full; /* allocations not remembered */
	__u64 owners_full; /* allocations of processes that found no place */
	__u64 busy; /* operations on a table that the kernel refused */
	__u64 reused; /* frees not seen, known from the address having been given out again */
	__s64 tracked[KERNEL_MAX_SHIFT + 1]; /* objects in the table, by their shift */
};

/* What user space tells the programs, and they it. */
struct kernel_control {
	__u32 alloc_shift; /* the sampling of what is allocated */
	__u32 free_shift; /* the lowest that any object in the table has */
	__u32 reader_pid_level; /* of the reader's pid namespace, see pid.h */
	__u32 n_cpus; /* that there may be */
	__u32 n_wanted; /* processes of whose allocations the stacks are kept */
	__u32 reserved;
	__u64 lists_start; /* of the function in which the allocator makes lists for itself */
	__u64 lists_end; /* 0: not known */
};

#endif
