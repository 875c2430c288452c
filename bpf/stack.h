/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A sampled stack, as user space gets it through a ring buffer. */
#ifndef MEMLEAKD_STACK_H
#define MEMLEAKD_STACK_H

/* The most that is copied of a stack. */
#define STACK_BYTES_MAX (16 * 1024)

/* What a sample is of. */
enum stack_kind {
	STACK_HEAP, /* a block of the heap, followed to its free */
	STACK_SIZE, /* one that is not followed */
	STACK_MAPPING, /* a mapping */
	STACK_FAULT, /* memory touched for the first time: a page fault */
};

/*
 * Of a fault, bytes are what it mapped, and the registers are those that the
 * program had at the fault: ip is no return address, but the very instruction,
 * or the one behind the system call in which the kernel touched the memory.
 * Its id has the highest bit set, so that it is none of another kind's.
 */
struct stack_sample {
	__u64 id;
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 bytes; /* asked for */
	__u64 sampling_bytes; /* one byte in so many is sampled */
	__u64 ip; /* where the call returns to */
	__u64 sp; /* the stack pointer once it has returned */
	__u64 fp; /* the caller's frame pointer, if it keeps one */
	__u64 lr; /* where a function that calls none goes back to, if a register has it */
	__u32 kind; /* enum stack_kind */
	__u32 stack_bytes; /* copied from sp on */
	__u8 stack[STACK_BYTES_MAX];
};

#endif
