/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * glibc's heap, without a table of pointers.
 *
 * The word before a chunk has its size and three flags (malloc/malloc.c, "struct
 * malloc_chunk"; unchanged from 2.17 to date), so that a free tells its bytes,
 * even of memory that was allocated long before the probe came. Bytes are those of
 * malloc_usable_size().
 *
 * At an allocation the chunk is not yet known. Its size is expected from the
 * request by glibc's rounding; what it gets in truth may be more (a remainder too
 * small to split off, a mapping of its own) or nothing. So some calls are followed
 * to their return: all large ones, which count what they got, and of the small
 * ones a random few, which correct the expectation for all of them. That keeps the
 * total unbiased: errors do not add up, they cancel out.
 */
#ifndef MEMLEAKD_HEAP_HEADER_H
#define MEMLEAKD_HEAP_HEADER_H

/* Flags in the low bits of a chunk's size. */
#define CHUNK_FLAGS 7ULL
#define CHUNK_IS_MMAPPED 2ULL

/* Requests from here on are followed, all of them: rare, and worth it. */
#define LARGE_BYTES (32 * 1024)
/* Of the others one in so many, a power of two. */
#define SAMPLED 64

/* Chunks are multiples of 16 bytes, of which the header takes 8. */
static __always_inline __u64 usable_bytes(__u64 request)
{
	__u64 chunk = (request + 8 + 15) & ~15ULL;

	return (chunk < 32 ? 32 : chunk) - 8;
}

/* What a chunk holds, 0 if its header cannot be read. */
static __always_inline __u64 chunk_bytes(struct call *call, __u64 pointer)
{
	__u64 size = 0;

	if (bpf_probe_read_user(&size, sizeof(size), (void *)(pointer - 8)) ||
	    size >> 47 || size < 32) {
		add(&call->totals->lost_unreadable, 1);
		return 0;
	}
	return (size & ~CHUNK_FLAGS) - (size & CHUNK_IS_MMAPPED ? 16 : 8);
}

/* What a return needs to know of its entry, in one word. */
#define KEPT_IS_LARGE 1ULL
#define KEPT_NOTHING (~0ULL)
#define KEPT_UNITS ((1ULL << 31) - 1)

static __always_inline __u64 keep(__u64 expected, __u64 old, bool is_large)
{
	return (expected >> 3 & KEPT_UNITS) << 33 | (old >> 3 & KEPT_UNITS) << 1 | is_large;
}

/*
 * A sampled call is followed like a large one, and so is none of those for which a
 * random few stand. Without sessions its return comes by itself.
 */
static __always_inline bool allocate_by_header(struct pt_regs *ctx, struct call *call,
					       const struct request *request, bool may_follow,
					       __u64 *kept)
{
	__u64 expected = usable_bytes(request->bytes), old = request->old;
	bool is_followed = request->is_odd || request->bytes >= LARGE_BYTES;

	if (request->bytes > REQUEST_MAX)
		return false;
	add(&call->totals->allocations, 1);
	if (call->capture && sample_call(ctx, call, request, class_of(expected)))
		is_followed = true;
	if (may_follow && is_followed) {
		*kept = keep(0, old, true);
		return true;
	}
	add(&call->totals->allocated_bytes, expected);
	count_allocated(call, expected);
	if (may_follow && bpf_get_prandom_u32() % SAMPLED == 0) {
		*kept = keep(expected, old, false);
		return true;
	}
	return false;
}

/* Returns what the chunk held. */
static __always_inline __u64 free_by_header(struct call *call, __u64 pointer)
{
	__u64 bytes = chunk_bytes(call, pointer);

	add(&call->totals->freed_bytes, bytes);
	add(&call->totals->frees, 1);
	count_freed(call, bytes);
	return bytes;
}

/*
 * A call that will be one of malloc. Its return may be probed for the sake of another
 * process, as a probe is one for all: then where malloc returns to is not to be seen.
 * It is followed itself only so that its caller is forgotten in time.
 */
static __always_inline bool pass_on(struct pt_regs *ctx, struct call *call, __u64 *kept)
{
	if (!call->capture || !call->follows || keep_caller(ctx, call))
		return false;
	*kept = KEPT_NOTHING;
	return true;
}

/*
 * Calls that glibc passes on to malloc are left to the probe there: realloc of
 * nothing, and alignments that every chunk has. Its own calls of free are not
 * counted, as a thread that ends frees once more what it has kept for reuse.
 */
static __always_inline bool enter_by_header(struct pt_regs *ctx, struct call *call,
					    bool may_follow, __u64 *kept)
{
	__u64 first = PT_REGS_PARM1(ctx), second = PT_REGS_PARM2(ctx);
	struct request request = {};

	switch (function_of(call->cookie)) {
	case HEAP_MALLOC:
		request.bytes = first;
		break;
	case HEAP_CALLOC:
		request.bytes = array_bytes(first, second);
		break;
	case HEAP_REALLOC:
		if (!first)
			return pass_on(ctx, call, kept);
		request.bytes = second;
		if (request.bytes > REQUEST_MAX)
			return false;
		request.old = free_by_header(call, first);
		if (!request.bytes) {
			/* Freed, and that is all. */
			if (call->capture)
				drop_sampled(call, first);
			return false;
		}
		request.old_pointer = first;
		if (usable_bytes(request.bytes) > request.old)
			request.gained = usable_bytes(request.bytes) - request.old;
		break;
	case HEAP_FREE:
		if (first && !is_called_from_within(ctx, call->cookie)) {
			free_by_header(call, first);
			if (call->capture)
				drop_sampled(call, first);
		}
		return false;
	case HEAP_MEMALIGN:
		if (first <= 16)
			return pass_on(ctx, call, kept);
		request.bytes = second;
		request.is_odd = true;
		break;
	case HEAP_POSIX_MEMALIGN:
		if (second <= 16)
			return pass_on(ctx, call, kept);
		request.bytes = PT_REGS_PARM3(ctx);
		request.is_odd = true;
		request.place = first;
		if (!allocate_by_header(ctx, call, &request, may_follow, kept))
			return false;
		*kept = first;
		return true;
	case HEAP_VALLOC:
		request.bytes = first;
		request.is_odd = true;
		break;
	case HEAP_PVALLOC:
		request.bytes = whole_pages(first);
		request.is_odd = true;
		break;
	default:
		return false;
	}
	return allocate_by_header(ctx, call, &request, may_follow, kept);
}

static __always_inline void leave_by_header(struct pt_regs *ctx, struct call *call, __u64 kept)
{
	__u64 weight = kept & KEPT_IS_LARGE ? 1 : SAMPLED;
	__u64 expected = (kept >> 33) << 3, old = (kept >> 1 & KEPT_UNITS) << 3;
	__u64 pointer = PT_REGS_RC(ctx), bytes;

	if (function_of(call->cookie) == HEAP_POSIX_MEMALIGN) {
		/* It returns an error number, and the pointer where it was asked to. */
		if ((__u32)pointer) {
			add(&call->totals->allocations, -1);
			return;
		}
		if (bpf_probe_read_user(&pointer, sizeof(pointer), (void *)kept)) {
			add(&call->totals->lost_unreadable, 1);
			return;
		}
		bytes = chunk_bytes(call, pointer);
		add(&call->totals->allocated_bytes, bytes);
		count_allocated(call, bytes);
		return;
	}
	if (!pointer) {
		/* Nothing was allocated, and nothing was given up for it. */
		add(&call->totals->allocations, -weight);
		if (old)
			add(&call->totals->frees, -weight);
		add(&call->totals->allocated_bytes, -(expected * weight));
		add(&call->totals->freed_bytes, -(old * weight));
		return;
	}
	bytes = chunk_bytes(call, pointer);
	add(&call->totals->allocated_bytes, (bytes - expected) * weight);
	if (kept & KEPT_IS_LARGE)
		count_allocated(call, bytes);
}

#endif
