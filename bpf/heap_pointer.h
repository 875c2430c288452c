/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The heap of any other allocator, by a table from pointer to requested size.
 *
 * Every allocation is followed to its return, where its pointer is known. Only the
 * outermost call of a thread counts: what an allocator's functions call among
 * themselves is told by the stack pointer, which lies below that of the outer call.
 */
#ifndef MEMLEAKD_HEAP_POINTER_H
#define MEMLEAKD_HEAP_POINTER_H

struct object {
	__u64 bytes; /* times its weight */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HEAP_OBJECTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct object_key);
	__type(value, struct object);
} objects SEC(".maps");

/* The allocating call that a thread is in. */
struct pending {
	__u64 sp;
	__u64 bytes;
	__u64 place; /* where posix_memalign puts the pointer */
	__u64 old_pointer; /* what realloc has taken out of the table, if it was there */
	__u64 old_bytes;
	struct heap_sampled sampled; /* its stack, if it was sampled */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct call_key);
	__type(value, struct pending);
} calls SEC(".maps");

/*
 * The fuller the table, the fewer are put into it, each for more: an object is one
 * if the hash of its address says so, and stands for 2^shift of them. That keeps the
 * total unbiased whatever happens to it later, as its free finds it or does not.
 */
static __always_inline __u32 sampling_shift(__u64 live)
{
	if (live < HEAP_OBJECTS_OF_PROCESS / 2)
		return 0;
	if (live < HEAP_OBJECTS_OF_PROCESS / 4 * 3)
		return 3;
	if (live < HEAP_OBJECTS_OF_PROCESS / 8 * 7)
		return 6;
	return 9;
}

static __always_inline __u64 hash_of(__u64 pointer)
{
	return (pointer >> 4) * 0x9e3779b97f4a7c15ULL >> 40; /* Fibonacci hashing, Knuth 6.4 */
}

static __always_inline void put_object(struct call *call, __u64 pointer, __u64 bytes)
{
	struct object_key key = { .pointer = pointer, .slot = slot_of(call->cookie) };
	__u32 slot = slot_of(call->cookie);
	struct heap_slot *about = bpf_map_lookup_elem(&slots, &slot);
	struct object object, *old;
	__u32 shift;

	if (!about)
		return;
	old = bpf_map_lookup_elem(&objects, &key);
	if (old) {
		/* Its free was not seen, but free it must be. */
		add(&call->totals->freed_bytes, old->bytes);
		add(&about->live, -1);
		bpf_map_delete_elem(&objects, &key);
	}
	shift = sampling_shift(about->live);
	if (shift)
		add(&call->totals->sampled, 1);
	if (about->sampling_shift < shift)
		about->sampling_shift = shift;
	if (hash_of(pointer) & ((1 << shift) - 1))
		return;
	object.bytes = bytes << shift;
	if (about->live >= HEAP_OBJECTS_OF_PROCESS ||
	    bpf_map_update_elem(&objects, &key, &object, BPF_NOEXIST)) {
		add(&call->totals->lost_full, 1);
		return;
	}
	add(&about->live, 1);
	add(&call->totals->allocated_bytes, object.bytes);
	count_allocated(call, object.bytes);
}

/*
 * A free of what is not in the table: another one may stand for it there. If that
 * cannot be, it stands for so many of its kind itself.
 */
static __always_inline void count_unknown(struct call *call, struct heap_slot *about,
					  __u64 pointer)
{
	__u32 shift = about->sampling_shift & 15;

	if (!(hash_of(pointer) & ((1 << shift) - 1)))
		add(&call->totals->unknown_frees, 1 << shift);
}

/*
 * Takes a pointer out of the table and returns its bytes, NOT_THERE if it is not there.
 */
#define NOT_THERE (~0ULL)

static __always_inline __u64 take_object(struct call *call, __u64 pointer)
{
	struct object_key key = { .pointer = pointer, .slot = slot_of(call->cookie) };
	__u32 slot = slot_of(call->cookie);
	struct heap_slot *about = bpf_map_lookup_elem(&slots, &slot);
	struct object *object = bpf_map_lookup_elem(&objects, &key);
	__u64 bytes;

	if (!about)
		return NOT_THERE;
	if (!object) {
		count_unknown(call, about, pointer);
		return NOT_THERE;
	}
	bytes = object->bytes;
	if (bpf_map_delete_elem(&objects, &key))
		return NOT_THERE; /* freed twice, at once */
	add(&about->live, -1);
	add(&call->totals->freed_bytes, bytes);
	count_freed(call, bytes);
	return bytes;
}

/* Puts back what was taken out, as it was. */
static __always_inline void put_back_object(struct call *call, __u64 pointer, __u64 bytes)
{
	struct object_key key = { .pointer = pointer, .slot = slot_of(call->cookie) };
	__u32 slot = slot_of(call->cookie);
	struct heap_slot *about = bpf_map_lookup_elem(&slots, &slot);
	struct object object = { .bytes = bytes };

	if (!about)
		return;
	add(&call->totals->freed_bytes, -bytes);
	if (bpf_map_update_elem(&objects, &key, &object, BPF_NOEXIST))
		add(&call->totals->lost_full, 1);
	else
		add(&about->live, 1);
}

/* Of a block that changes its size and was not looked at before, all of it is new. */
static __always_inline void sample_by_pointer(struct pt_regs *ctx, struct call *call,
					      struct pending *pending)
{
	struct request request = {
		.bytes = pending->bytes,
		.old_pointer = pending->old_pointer,
		.gained = pending->bytes,
	};
	__u32 class = class_of(request.bytes);

	if (!request.old_pointer) {
		take(ctx, call, request.bytes, class, &pending->sampled);
		return;
	}
	if (pending->old_bytes != NOT_THERE)
		request.gained = request.bytes > pending->old_bytes ?
					 request.bytes - pending->old_bytes : 0;
	retake(ctx, call, &request, class, &pending->sampled);
}

static __always_inline bool enter_by_pointer(struct pt_regs *ctx, struct call *call)
{
	struct call_key thread = key_of(call);
	__u64 sp = PT_REGS_SP(ctx);
	__u64 first = PT_REGS_PARM1(ctx), second = PT_REGS_PARM2(ctx);
	struct pending *outer = bpf_map_lookup_elem(&calls, &thread);
	struct pending pending = { .sp = sp, .old_bytes = NOT_THERE };

	/*
	 * A function that ends with a jump to another hands on its own place on the stack.
	 * An outer call that lies deeper has never returned here: its thread has ended in it.
	 */
	if (outer && sp <= outer->sp)
		return false;
	switch (function_of(call->cookie)) {
	case HEAP_FREE:
		if (first) {
			take_object(call, first);
			add(&call->totals->frees, 1);
			if (call->capture)
				drop_sampled(call, first);
		}
		return false;
	case HEAP_NEW:
	case HEAP_NEW_ARRAY:
		/* It may throw, and no unwinder passes a return probe: its pointer stays unknown. */
		pending.bytes = function_of(call->cookie) == HEAP_NEW ?
					first : array_bytes(first, second);
		if (pending.bytes >> 40)
			return false; /* that it has thrown is more likely */
		if (call->capture)
			add(&call->totals->unsampled, 1);
		add(&call->totals->allocations, 1);
		add(&call->totals->allocated_bytes, pending.bytes);
		return false;
	case HEAP_MALLOC:
	case HEAP_VALLOC:
		pending.bytes = first;
		break;
	case HEAP_PVALLOC:
		pending.bytes = whole_pages(first);
		break;
	case HEAP_CALLOC:
		pending.bytes = array_bytes(first, second);
		break;
	case HEAP_REALLOC:
	case HEAP_REALLOCARRAY:
		pending.bytes = function_of(call->cookie) == HEAP_REALLOC ?
					second : array_bytes(second, PT_REGS_PARM3(ctx));
		if (first) {
			/* Out already: once it is free, another thread may get it. */
			pending.old_pointer = first;
			pending.old_bytes = take_object(call, first);
			add(&call->totals->frees, 1);
			if (call->capture && !pending.bytes)
				drop_sampled(call, first);
		}
		break;
	case HEAP_MEMALIGN:
		pending.bytes = second;
		break;
	case HEAP_POSIX_MEMALIGN:
		pending.place = first;
		pending.bytes = PT_REGS_PARM3(ctx);
		break;
	default:
		return false;
	}
	/* What asks for more than there is keeps what it has. */
	if (call->capture && pending.bytes <= REQUEST_MAX)
		sample_by_pointer(ctx, call, &pending);
	return !bpf_map_update_elem(&calls, &thread, &pending, BPF_ANY);
}

static __always_inline void leave_by_pointer(struct pt_regs *ctx, struct call *call)
{
	struct call_key thread = key_of(call);
	__u64 pointer = PT_REGS_RC(ctx);
	struct pending *found = bpf_map_lookup_elem(&calls, &thread);
	struct pending pending;

	if (!found || PT_REGS_SP(ctx) != RETURNED(found->sp))
		return;
	pending = *found;
	bpf_map_delete_elem(&calls, &thread);
	if (pending.place) {
		if ((__u32)pointer) /* an error number */
			return;
		if (bpf_probe_read_user(&pointer, sizeof(pointer), (void *)pending.place)) {
			add(&call->totals->lost_unreadable, 1);
			return;
		}
	}
	if (pointer) {
		add(&call->totals->allocations, 1);
		put_object(call, pointer, pending.bytes);
		if (call->capture && pending.sampled.id)
			put_sampled(call, pointer, &pending.sampled);
	} else if (pending.old_pointer && pending.bytes) {
		/* It failed, and the old one stands. */
		add(&call->totals->frees, -1);
		if (pending.old_bytes != NOT_THERE)
			put_back_object(call, pending.old_pointer, pending.old_bytes);
	}
}

#endif
