// SPDX-License-Identifier: MIT
/*
 * Buddy allocator. A free block of 2^order pages is aligned to its size; its buddy is the block
 * whose address differs in that one bit, and two free buddies become one block of the next order.
 *
 * Each page has a byte that says what the page is. So when a block is freed, each of its pages is
 * asserted to be allocated: memory that is given back twice, or was never given out, is found at
 * once. Free blocks hang on lists, one an order, through their own first bytes. Those of 2 MiB hang
 * there through a table beside them, so that memory which nobody uses is not even touched: under an
 * emulator or a hypervisor, memory costs something only when it is touched.
 *
 * `alloc_lock` protects everything here; nothing nests inside it.
 */
#include "page_alloc.h"

#include "lib/bits.h"
#include "lib/list.h"
#include "lib/string.h"
#include "mailbox.h"
#include "spinlock.h"

enum page_state {
	PAGE_FREE = 0x00, /* + order: first page of a free block */
	PAGE_FREE_INNER = 0x10, /* another page of one */
	PAGE_ALLOCATED = 0x20,
	PAGE_RESERVED = 0x30, /* never handed out: bookkeeping, the hole */
};

static struct spinlock alloc_lock = SPINLOCK_INIT("page_alloc");
static struct list free_lists[PAGE_ORDER_MAX + 1];
static u64 range_start, range_end;
static u8 *states; /* of the page at range_start, and so on */
static struct list *large_nodes; /* of the 2 MiB block around range_start, and so on */
u64 free_page_count;

static u64 page_index(u64 address)
{
	return (address - range_start) >> PAGE_SHIFT;
}

static bool is_free_block(u64 address, unsigned order)
{
	return address >= range_start && address + (PAGE_SIZE << order) <= range_end &&
	       states[page_index(address)] == PAGE_FREE + order;
}

static u64 large_base(void)
{
	return align_down(range_start, BLOCK_SIZE);
}

static struct list *node_of(u64 address, unsigned order)
{
	if (order == PAGE_ORDER_MAX)
		return &large_nodes[(address - large_base()) / BLOCK_SIZE];
	return phys_to_virt(PA(address));
}

static u64 address_of(const struct list *node, unsigned order)
{
	if (order == PAGE_ORDER_MAX)
		return large_base() + (u64)(node - large_nodes) * BLOCK_SIZE;
	return virt_to_phys(node).pa;
}

static void block_insert(u64 address, unsigned order)
{
	states[page_index(address)] = (u8)(PAGE_FREE + order);
	list_append(&free_lists[order], node_of(address, order));
	free_page_count += 1UL << order;
}

static void block_remove(u64 address, unsigned order)
{
	list_remove(node_of(address, order));
	states[page_index(address)] = PAGE_FREE_INNER;
	free_page_count -= 1UL << order;
}

/* Give out [address, + 2^order pages), which has just been removed from the lists. */
static void block_mark_allocated(u64 address, unsigned order)
{
	memset(&states[page_index(address)], PAGE_ALLOCATED, 1UL << order);
}

static void block_free(u64 address, unsigned order)
{
	u64 first = page_index(address);

	for (u64 i = first; i < first + (1UL << order); i++)
		assert(states[i] == PAGE_ALLOCATED);
	memset(&states[first], PAGE_FREE_INNER, 1UL << order);
	while (order < PAGE_ORDER_MAX) {
		u64 buddy = address ^ (PAGE_SIZE << order);

		if (!is_free_block(buddy, order))
			break;
		block_remove(buddy, order);
		address &= ~(PAGE_SIZE << order);
		order++;
	}
	block_insert(address, order);
}

/* Largest block that starts at @address and fits below @end. */
static unsigned largest_order(u64 address, u64 end)
{
	unsigned order = PAGE_ORDER_MAX;

	while (!is_aligned(address, PAGE_SIZE << order) || address + (PAGE_SIZE << order) > end)
		order--;
	return order;
}

static void range_release(u64 address, u64 end)
{
	while (address < end) {
		unsigned order = largest_order(address, end);

		memset(&states[page_index(address)], PAGE_FREE_INNER, 1UL << order);
		block_insert(address, order);
		address += PAGE_SIZE << order;
	}
}

void page_alloc_init(pa_t start, pa_t end, pa_t hole, pa_t hole_end)
{
	range_start = align_up(start.pa, PAGE_SIZE);
	range_end = align_down(end.pa, PAGE_SIZE);
	assert(range_start < range_end && hole.pa <= hole_end.pa);

	u64 page_count = (range_end - range_start) >> PAGE_SHIFT;
	u64 large_count = (align_up(range_end, BLOCK_SIZE) - large_base()) / BLOCK_SIZE;
	u64 nodes = align_up(range_start + page_count, sizeof(struct list));
	u64 usable = align_up(nodes + large_count * sizeof(struct list), PAGE_SIZE);
	u64 hole_start = max_u64(align_down(hole.pa, PAGE_SIZE), range_start);
	u64 after_hole = min_u64(align_up(hole_end.pa, PAGE_SIZE), range_end);

	/* An empty hole, or one outside the range, leaves one piece. */
	if (hole.pa == hole_end.pa || hole_start >= after_hole)
		hole_start = after_hole = range_end;
	assert(usable <= hole_start);

	for (unsigned order = 0; order <= PAGE_ORDER_MAX; order++)
		list_init(&free_lists[order]);
	free_page_count = 0;
	states = phys_to_virt(PA(range_start));
	large_nodes = phys_to_virt(PA(nodes));
	memset(states, PAGE_RESERVED, page_count);
	range_release(usable, hole_start);
	range_release(after_hole, range_end);
}

pa_t page_alloc(unsigned order)
{
	unsigned found = order;

	assert(order <= PAGE_ORDER_MAX);
	spin_lock(&alloc_lock);
	while (found <= PAGE_ORDER_MAX && list_is_empty(&free_lists[found]))
		found++;
	if (found > PAGE_ORDER_MAX) {
		spin_unlock(&alloc_lock);
		return PA(PAGE_NONE);
	}

	u64 address = address_of(free_lists[found].next, found);

	block_remove(address, found);
	while (found > order) {
		found--;
		block_insert(address + (PAGE_SIZE << found), found);
	}
	block_mark_allocated(address, order);
	spin_unlock(&alloc_lock);
	return PA(address);
}

pa_t page_alloc_zeroed(unsigned order)
{
	pa_t pa = page_alloc(order);

	if (pa_is_valid(pa))
		pages_zero(phys_to_virt(pa), PAGE_SIZE << order);
	return pa;
}

/* First of @count free blocks of 2 MiB in a row. */
static u64 find_blocks(u64 count)
{
	u64 run = 0;

	for (u64 at = align_up(range_start, BLOCK_SIZE); at < range_end; at += BLOCK_SIZE) {
		run = is_free_block(at, PAGE_ORDER_MAX) ? run + 1 : 0;
		if (run == count)
			return at - (count - 1) * BLOCK_SIZE;
	}
	return PAGE_NONE;
}

pa_t page_alloc_range(u64 bytes)
{
	assert(bytes > 0);
	if (bytes > range_end - range_start)
		return PA(PAGE_NONE);

	u64 count = align_up(bytes, BLOCK_SIZE) / BLOCK_SIZE;

	spin_lock(&alloc_lock);
	u64 address = find_blocks(count);

	for (u64 i = 0; address != PAGE_NONE && i < count; i++) {
		block_remove(address + i * BLOCK_SIZE, PAGE_ORDER_MAX);
		block_mark_allocated(address + i * BLOCK_SIZE, PAGE_ORDER_MAX);
	}
	spin_unlock(&alloc_lock);
	return PA(address);
}

static void free_checked(u64 address, unsigned order)
{
	assert(order <= PAGE_ORDER_MAX && is_aligned(address, PAGE_SIZE << order));
	assert(address >= range_start && address < range_end);
	assert(range_end - address >= PAGE_SIZE << order);
	spin_lock(&alloc_lock);
	block_free(address, order);
	spin_unlock(&alloc_lock);
}

void page_free(pa_t pa, unsigned order)
{
	free_checked(pa.pa, order);
}

void page_free_range(pa_t pa, u64 bytes)
{
	for (u64 done = 0; done < bytes; done += BLOCK_SIZE)
		free_checked(pa.pa + done, PAGE_ORDER_MAX);
}

u64 page_free_bytes(void)
{
	return __atomic_load_n(&free_page_count, __ATOMIC_RELAXED) << PAGE_SHIFT;
}
