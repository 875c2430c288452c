/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Where a program allocates: stacks of a random few of its allocations.
 *
 * Each allocation is taken by itself with a probability of its size by the sampling
 * bytes of its class, 1 at the most, and stands for as many as it was one of. Its stack
 * is copied at the entry of the call, where the caller's registers still are; where it
 * is, is known at the return. What is freed is forgotten, so that what is left in the
 * table at the end is what stands.
 */
#ifndef MEMLEAKD_HEAP_STACK_H
#define MEMLEAKD_HEAP_STACK_H

/* The kernel's error numbers, as pointers. */
#define IS_ERROR(pointer) ((pointer) >= -4095ULL)

/* A function that glibc passes on to malloc leaves its frame below it, if any, so small. */
#define FRAMES_BETWEEN 256

/* What is asked of an allocator. */
struct request {
	__u64 bytes;
	__u64 old; /* what a chunk that is given up for it holds */
	__u64 old_pointer; /* the block that changes its size, */
	__u64 gained; /* by so many bytes if it grows */
	__u64 place; /* where posix_memalign puts the pointer */
	bool is_odd;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HEAP_SLOTS);
	__type(key, __u32);
	__type(value, struct heap_capturing);
} capturing SEC(".maps");

/* By capture and class. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HEAP_CAPTURES * HEAP_CLASSES);
	__type(key, __u32);
	__type(value, struct heap_class);
} classes SEC(".maps");

/* Sampling bytes, by capture and class. Below 2^32, or the product below is none. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HEAP_CAPTURES * HEAP_CLASSES);
	__type(key, __u32);
	__type(value, __u64);
} sampling SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, HEAP_RING_BYTES);
};

/* By capture. They are there as long as their capture is. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, HEAP_CAPTURES);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HEAP_SAMPLED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct object_key);
	__type(value, struct heap_sampled);
} sampled SEC(".maps");

/*
 * The sampled call that a thread is in. Without an id it is one that is passed on to
 * malloc: where its return is probed, its caller is no longer to be found then.
 */
struct sampled_call {
	__u64 sp;
	__u64 place; /* where posix_memalign puts the pointer */
	__u64 caller;
	__u64 fp;
	struct heap_sampled sampled;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct call_key);
	__type(value, struct sampled_call);
} sampled_calls SEC(".maps");

static __always_inline __u32 class_of(__u64 bytes)
{
	__u64 chunk = (bytes + 8 + 15) & ~15ULL, last;
	__u32 log = 10;

	if (chunk <= 32)
		return 2;
	if (chunk <= 1024)
		return chunk / 16;
	last = chunk - 1;
	if (last >> 26)
		return HEAP_CLASS_MAPPING - 1;
	if (last >> (log + 8))
		log += 8;
	if (last >> (log + 4))
		log += 4;
	if (last >> (log + 2))
		log += 2;
	if (last >> (log + 1))
		log += 1;
	log = 65 + (log - 10) * 4 + (last >> (log - 2) & 3);
	return log < HEAP_CLASS_MAPPING ? log : HEAP_CLASS_MAPPING - 1;
}

static __noinline __u64 count_class(__u32 capture, __u32 class, __u64 allocated_bytes,
				    __u64 freed_bytes)
{
	__u32 key = (capture - 1) * HEAP_CLASSES + class;
	struct heap_class *counted = bpf_map_lookup_elem(&classes, &key);

	if (!counted)
		return 0;
	add(&counted->allocated_bytes, allocated_bytes);
	add(&counted->freed_bytes, freed_bytes);
	return 0;
}

static __always_inline void count_allocated(struct call *call, __u64 bytes)
{
	if (call->capture)
		count_class(call->capture, class_of(bytes), bytes, 0);
}

static __always_inline void count_freed(struct call *call, __u64 bytes)
{
	if (call->capture)
		count_class(call->capture, class_of(bytes), 0, bytes);
}

/*
 * Copies the stack as far as it is there, in pieces that end where pages do: the first
 * page of a stack may be the last.
 */
static __always_inline __u32 copy_stack(__u8 *to, __u64 sp)
{
	__u64 at = 4096 - (sp & 4095);

	if (bpf_probe_read_user(to, at, (void *)sp))
		return 0;
#pragma unroll
	for (int i = 0; i < STACK_BYTES_MAX / 4096 - 1; i++) {
		if (bpf_probe_read_user(to + at, 4096, (void *)(sp + at)))
			break;
		at += 4096;
	}
	return at;
}

/* One byte in so many is sampled of a class; 0 if that is not to be known. */
static __always_inline __u64 period_of(struct call *call, __u32 class)
{
	__u32 key = (call->capture - 1) * HEAP_CLASSES + class;
	__u64 *sampling_bytes = bpf_map_lookup_elem(&sampling, &key);

	return sampling_bytes ? *(volatile __u64 *)sampling_bytes : 0;
}

/* Copies the stack of a call, for a block that stands for one byte in a period of its bytes. */
static __noinline bool copy(struct pt_regs *ctx, struct call *call, bool is_mapping,
			    struct heap_sampled *taken)
{
	__u32 capture = call->capture - 1;
	struct call_key thread = key_of(call);
	struct stack_sample *sample;
	struct sampled_call *outer;
	void *ring;

	ring = bpf_map_lookup_elem(&rings, &capture);
	if (!ring)
		return false;
	sample = bpf_ringbuf_reserve(ring, sizeof(*sample), 0);
	if (!sample) {
		add(&call->totals->lost_stacks, 1);
		return false;
	}
	taken->id = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32() | 1;
	sample->id = taken->id;
	sample->time_ns = taken->time_ns;
	sample->bytes = taken->bytes;
	sample->sampling_bytes = taken->sampling_bytes;
	sample->kind = is_mapping ? STACK_MAPPING : call->follows ? STACK_HEAP : STACK_SIZE;
	sample->sp = PT_REGS_SP(ctx);
	outer = bpf_map_lookup_elem(&sampled_calls, &thread);
	if (outer && !outer->sampled.id && outer->sp - sample->sp < FRAMES_BETWEEN) {
		sample->sp = outer->sp;
		sample->ip = outer->caller;
		sample->fp = outer->fp;
	} else {
		sample->ip = caller_of(ctx);
		sample->fp = PT_REGS_FP(ctx);
	}
	sample->sp = RETURNED(sample->sp);
	sample->lr = sample->ip; /* a call has put it there */
	sample->stack_bytes = copy_stack(sample->stack, sample->sp);
	/* Who reads it looks by itself: to be woken for each would cost the program time. */
	bpf_ringbuf_submit(sample, BPF_RB_NO_WAKEUP);
	add(&call->totals->stacks, 1);
	return true;
}

/* Whether an allocation is sampled, and then what; its stack is on its way. */
static __noinline bool take(struct pt_regs *ctx, struct call *call, __u64 bytes, __u32 class,
			    struct heap_sampled *taken)
{
	__u64 period = period_of(call, class);

	taken->id = 0;
	if (!period || bytes > REQUEST_MAX)
		return false;
	bytes = bytes ? bytes : 1; /* a block of no size takes room as well */
	if (bytes < period && bpf_get_prandom_u32() * period >= bytes << 32)
		return false;
	taken->time_ns = bpf_ktime_get_ns();
	taken->bytes = bytes;
	taken->holds = bytes;
	taken->sampling_bytes = period;
	return copy(ctx, call, class == HEAP_CLASS_MAPPING, taken);
}

/*
 * A block changes its size. What it gains is allocated here, and the rest is what it was,
 * as old as it was: a buffer that grows all the time would be young for ever otherwise.
 * Of a block that is sampled already one stack is kept, with the chance of its part in
 * the bytes. Returns whether it is sampled.
 */
static __noinline bool retake(struct pt_regs *ctx, struct call *call,
			      const struct request *request, __u32 class,
			      struct heap_sampled *taken)
{
	struct object_key key = { .pointer = request->old_pointer, .slot = slot_of(call->cookie) };
	struct heap_sampled *found = bpf_map_lookup_elem(&sampled, &key), old;
	__u64 gained = request->gained;

	if (!found)
		return gained && take(ctx, call, gained, class, taken);
	old = *found;
	bpf_map_delete_elem(&sampled, &key);
	old.holds += gained;
	if (old.holds > request->bytes)
		old.holds = request->bytes;
	*taken = old;
	if ((bpf_get_prandom_u32() >> 16) * old.holds >> 16 < gained &&
	    !copy(ctx, call, class == HEAP_CLASS_MAPPING, taken))
		*taken = old;
	return true;
}

/* Takes a sample, maybe, of a call that is then to be followed to its return. */
static __noinline bool sample_call(struct pt_regs *ctx, struct call *call,
				   const struct request *request, __u32 class)
{
	struct sampled_call sampled_call = { .sp = PT_REGS_SP(ctx), .place = request->place };
	struct call_key thread = key_of(call);
	bool is_taken;

	/* Where blocks are not followed, those of its new size have become more. */
	if (request->old_pointer && call->follows)
		is_taken = retake(ctx, call, request, class, &sampled_call.sampled);
	else
		is_taken = take(ctx, call, request->bytes, class, &sampled_call.sampled);
	if (!is_taken || !call->follows)
		return false;
	if (bpf_map_update_elem(&sampled_calls, &thread, &sampled_call, BPF_ANY)) {
		add(&call->totals->lost_pairs, 1);
		return false;
	}
	return true;
}

/* Keeps where a call comes from that may be passed on to malloc. */
static __noinline __u64 keep_caller(struct pt_regs *ctx, struct call *call)
{
	struct sampled_call passed_on = {
		.sp = PT_REGS_SP(ctx),
		.caller = caller_of(ctx),
		.fp = PT_REGS_FP(ctx),
	};
	struct call_key thread = key_of(call);

	return bpf_map_update_elem(&sampled_calls, &thread, &passed_on, BPF_ANY);
}

/* A sampled allocation has got its place. */
static __always_inline void put_sampled(struct call *call, __u64 pointer,
					const struct heap_sampled *taken)
{
	struct object_key key = { .pointer = pointer, .slot = slot_of(call->cookie) };

	if (bpf_map_update_elem(&sampled, &key, taken, BPF_ANY))
		add(&call->totals->lost_pairs, 1);
}

/* What lies there is freed: if it was sampled, it does not stand any more. */
static __noinline __u64 drop_sampled(struct call *call, __u64 pointer)
{
	struct object_key key = { .pointer = pointer, .slot = slot_of(call->cookie) };

	if (bpf_map_lookup_elem(&sampled, &key))
		return bpf_map_delete_elem(&sampled, &key);
	return 0;
}

/* The beginning of a mapping goes; what is behind it stands on. */
static __noinline __u64 cut_sampled(struct call *call, __u64 pointer, __u64 bytes)
{
	struct object_key key = { .pointer = pointer, .slot = slot_of(call->cookie) };
	struct heap_sampled *found = bpf_map_lookup_elem(&sampled, &key), rest;

	if (!found)
		return 0;
	rest = *found;
	bpf_map_delete_elem(&sampled, &key);
	if (rest.holds > bytes) {
		rest.holds -= bytes;
		put_sampled(call, pointer + bytes, &rest);
	}
	return 0;
}

/* At a return: if the call was sampled, it is known now where its memory is. */
static __noinline __u64 pair(struct pt_regs *ctx, struct call *call)
{
	struct call_key thread = key_of(call);
	struct sampled_call *found = bpf_map_lookup_elem(&sampled_calls, &thread), done;
	__u64 pointer = PT_REGS_RC(ctx);

	if (!found || PT_REGS_SP(ctx) != RETURNED(found->sp))
		return 0;
	done = *found;
	bpf_map_delete_elem(&sampled_calls, &thread);
	if (!done.sampled.id)
		return 0;
	if (done.place && ((__u32)pointer ||
			   bpf_probe_read_user(&pointer, sizeof(pointer), (void *)done.place)))
		return 0;
	if (pointer && !IS_ERROR(pointer))
		put_sampled(call, pointer, &done.sampled);
	return 0;
}

#endif
