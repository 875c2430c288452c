/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Depth 2: net allocations of the user heap of a few processes.
 *
 * Probes sit on the functions of a process's allocator, as close to their
 * beginning as costs least, where the arguments and the stack pointer are still
 * those of the call. Totals are kept for each slot and CPU, and read now and then.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "heap.h"
#include "stack.h"

#define MAP_FIXED 0x10 /* include/uapi/asm-generic/mman-common.h */

/* No request larger than this succeeds: an address space has no more. */
#define REQUEST_MAX ((1ULL << 47) - 1)

/*
 * Where the stack pointer is after a return, from where it was at the entry: on
 * x86 the return address has gone from the stack.
 */
#if defined(__TARGET_ARCH_x86)
#define RETURNED(sp) ((sp) + 8)
#else
#define RETURNED(sp) (sp)
#endif

/* This machine's, set before the programs are loaded: 64 KiB on some of ARM. */
const volatile __u64 page_bytes = 4096;

/* Makes the records' types appear in the object, and so in the skeleton. */
const struct heap_totals unused_heap_totals = {};
const struct heap_slot unused_heap_slot = {};
const struct heap_capturing unused_heap_capturing = {};
const struct heap_class unused_heap_class = {};
const struct heap_sampled unused_heap_sampled = {};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HEAP_SLOTS);
	__type(key, __u32);
	__type(value, struct heap_totals);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HEAP_SLOTS);
	__type(key, __u32);
	__type(value, struct heap_slot);
} slots SEC(".maps");

/* A call: what, and of which slot. */
struct call {
	struct heap_totals *totals;
	__u64 cookie;
	__u32 capture; /* of stacks, 0 if there is none */
	__u32 follows;
};

/* Where something lies, and in which slot's process. */
struct object_key {
	__u64 pointer;
	__u64 slot;
};

/* A thread of a slot's process, which may be that of another slot as well. */
struct call_key {
	__u32 thread;
	__u32 slot;
};

static __always_inline __u64 whole_pages(__u64 bytes)
{
	return (bytes + page_bytes - 1) & -page_bytes;
}

static __always_inline __u32 slot_of(__u64 cookie)
{
	return (__u16)(cookie >> 16);
}

static __always_inline bool is_stepped(__u64 cookie)
{
	return cookie >> 15 & 1;
}

static __always_inline __u8 method_of(__u64 cookie)
{
	return cookie >> 8 & 0x7f;
}

static __always_inline __u8 function_of(__u64 cookie)
{
	return cookie;
}

static __always_inline struct call_key key_of(struct call *call)
{
	struct call_key key = {
		.thread = bpf_get_current_pid_tgid(),
		.slot = slot_of(call->cookie),
	};

	return key;
}

/*
 * Atomic although the totals are this CPU's: another thread of the process may
 * take the CPU in the middle of a probe.
 */
static __always_inline void add(__u64 *total, __u64 n)
{
	__sync_fetch_and_add(total, n);
}

/*
 * The size of an array, or more than there can be if that is more than an address
 * space (2^47). In halves, as BPF has no product of more than 64 bits.
 */
static __always_inline __u64 array_bytes(__u64 count, __u64 size)
{
	if (count >> 47 || size >> 47)
		return ~0ULL;
	if ((count >> 32) * size >> 15 || (size >> 32) * count >> 15)
		return ~0ULL;
	return count * size;
}

/* Where a call that has only just begun goes back to. */
static __always_inline __u64 caller_of(struct pt_regs *ctx)
{
#if defined(__TARGET_ARCH_x86)
	__u64 caller = 0;

	bpf_probe_read_user(&caller, sizeof(caller), (void *)PT_REGS_SP(ctx));
	return caller;
#else
	return PT_REGS_RET(ctx);
#endif
}

/* Whether the allocator calls its own function. */
static __always_inline bool is_called_from_within(struct pt_regs *ctx, __u64 cookie)
{
	__u64 from_probe = caller_of(ctx) - PT_REGS_IP(ctx);
	__u64 before = (__u16)(cookie >> 32), behind = cookie >> 48;

	return from_probe + before < before + behind;
}

#include "heap_stack.h"
#include "heap_header.h"
#include "heap_pointer.h"

/* Mappings that the program itself makes: those of its allocator are the heap's. */
static __always_inline bool is_own_mapping(struct pt_regs *ctx, __u64 cookie)
{
	__u32 slot = slot_of(cookie);
	struct heap_slot *about = bpf_map_lookup_elem(&slots, &slot);
	__u64 caller;

	if (!about)
		return false;
	caller = caller_of(ctx);
	for (int i = 0; i < HEAP_TEXTS; i++)
		if (caller >= about->text_starts[i] && caller < about->text_ends[i])
			return false;
	return true;
}

/*
 * A mapping that nothing can be read from or written to is a reservation, of address
 * space and not of memory: what is made of it later is not known here.
 */
static __always_inline bool sample_mapping(struct pt_regs *ctx, struct call *call,
					   const struct request *request)
{
	count_class(call->capture, HEAP_CLASS_MAPPING, request->bytes, request->old);
	return sample_call(ctx, call, request, HEAP_CLASS_MAPPING);
}

/* Returns whether the call is to be followed to its return. */
static __always_inline bool enter_mapping(struct pt_regs *ctx, struct call *call)
{
	__u64 start = PT_REGS_PARM1(ctx), bytes = whole_pages(PT_REGS_PARM2(ctx));
	struct request request = { .bytes = bytes };

	if (!is_own_mapping(ctx, call->cookie))
		return false;
	switch (function_of(call->cookie)) {
	case HEAP_MMAP:
		/* A fixed one may replace another, of which nothing is known here. */
		if (PT_REGS_PARM4(ctx) & MAP_FIXED)
			return false;
		add(&call->totals->mapped_bytes, bytes);
		return call->capture && PT_REGS_PARM3(ctx) &&
		       sample_mapping(ctx, call, &request);
	case HEAP_MUNMAP:
		add(&call->totals->unmapped_bytes, bytes);
		if (call->capture) {
			count_class(call->capture, HEAP_CLASS_MAPPING, 0, bytes);
			cut_sampled(call, start, bytes);
		}
		return false;
	case HEAP_MREMAP:
		request.bytes = whole_pages(PT_REGS_PARM3(ctx));
		request.old = bytes;
		request.old_pointer = start;
		if (request.bytes > bytes)
			request.gained = request.bytes - bytes;
		add(&call->totals->unmapped_bytes, bytes);
		add(&call->totals->mapped_bytes, request.bytes);
		return call->capture && sample_mapping(ctx, call, &request);
	default:
		return false;
	}
}

static __always_inline struct heap_totals *totals_of(__u64 cookie)
{
	__u32 slot = slot_of(cookie);

	return bpf_map_lookup_elem(&totals, &slot);
}

/* Which call that is. Nothing is looked up for stacks but whether they are captured. */
static __always_inline bool is_call(struct pt_regs *ctx, struct call *call)
{
	struct heap_capturing *captured;
	__u32 slot;

	call->cookie = bpf_get_attach_cookie(ctx);
	call->totals = totals_of(call->cookie);
	slot = slot_of(call->cookie);
	captured = bpf_map_lookup_elem(&capturing, &slot);
	if (!call->totals || !captured)
		return false;
	call->capture = captured->capture;
	call->follows = captured->follows;
	return true;
}

/* Returns whether the call is to be followed to its return; keeps what is needed then. */
static __always_inline bool enter(struct pt_regs *ctx, bool may_follow, __u64 *kept)
{
	struct call call = {};

	if (!is_call(ctx, &call))
		return false;
	add(&call.totals->hits, 1);
	if (is_stepped(call.cookie))
		add(&call.totals->stepped_hits, 1);
	if (function_of(call.cookie) >= HEAP_MMAP)
		return enter_mapping(ctx, &call);
	if (method_of(call.cookie) == HEAP_BY_HEADER)
		return enter_by_header(ctx, &call, may_follow, kept);
	return enter_by_pointer(ctx, &call);
}

/* Each return that is seen was asked for by its entry; or all are, and nothing was. */
static __always_inline void leave(struct pt_regs *ctx, bool was_asked, __u64 kept)
{
	struct call call = {};

	if (!is_call(ctx, &call))
		return;
	add(&call.totals->returns, 1);
	if (function_of(call.cookie) < HEAP_MMAP) {
		if (method_of(call.cookie) == HEAP_BY_POINTER)
			return leave_by_pointer(ctx, &call);
		if (was_asked && kept != KEPT_NOTHING)
			leave_by_header(ctx, &call, kept);
	}
	if (call.capture)
		pair(ctx, &call);
}

/*
 * Linux 6.13: one link for entries and returns, in which each entry decides
 * whether its return is to be seen, and hands over a word.
 */
extern bool bpf_session_is_return(void) __ksym __weak;
extern __u64 *bpf_session_cookie(void) __ksym __weak;

SEC("uprobe.session")
int heap_session(struct pt_regs *ctx)
{
	__u64 *kept = bpf_session_cookie();

	if (bpf_session_is_return()) {
		leave(ctx, true, *kept);
		return 0;
	}
	return enter(ctx, true, kept) ? 0 : 1;
}

/* Linux 6.6: links for many places at once. */
SEC("uprobe.multi")
int heap_enter(struct pt_regs *ctx)
{
	__u64 kept;

	enter(ctx, false, &kept);
	return 0;
}

SEC("uretprobe.multi")
int heap_leave(struct pt_regs *ctx)
{
	leave(ctx, false, 0);
	return 0;
}

/* Before: a perf event for each place. */
SEC("uprobe")
int heap_enter_one(struct pt_regs *ctx)
{
	__u64 kept;

	enter(ctx, false, &kept);
	return 0;
}

SEC("uretprobe")
int heap_leave_one(struct pt_regs *ctx)
{
	leave(ctx, false, 0);
	return 0;
}

/* bpf_probe_read_user and attach cookies are for GPL-compatible programs. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";
