// SPDX-License-Identifier: MIT
/*
 * The reader of device trees: what well-formed ones say, and damaged ones, in a buffer of exactly the
 * size that their header claims (AddressSanitizer watches).
 */
#include <string.h>

#include "check.h"
#include "fdt.h"

#define RAM 0x40000000UL
#define HEADER_BYTES 40
#define RESERVED_BYTES 16

/* A tree being built: structure block, then strings. */
static struct {
	u8 structure[2048];
	u8 strings[256];
	unsigned structure_bytes, strings_bytes;
} tree;

static void put_word(u8 *to, u32 word)
{
	word = __builtin_bswap32(word);
	memcpy(to, &word, 4);
}

static void add_word(u32 word)
{
	put_word(tree.structure + tree.structure_bytes, word);
	tree.structure_bytes += 4;
}

static void add_bytes(const void *data, unsigned bytes)
{
	memcpy(tree.structure + tree.structure_bytes, data, bytes);
	tree.structure_bytes += (bytes + 3) & ~3u;
}

static u32 add_string(const char *text)
{
	u32 offset = tree.strings_bytes;

	strcpy((char *)tree.strings + offset, text);
	tree.strings_bytes += strlen(text) + 1;
	return offset;
}

static void begin_node(const char *name)
{
	add_word(1);
	add_bytes(name, strlen(name) + 1);
}

static void end_node(void)
{
	add_word(2);
}

static void property(const char *name, const void *data, unsigned bytes)
{
	add_word(3);
	add_word(bytes);
	add_word(add_string(name));
	add_bytes(data, bytes);
}

static void cells(const char *name, unsigned count, const u32 *words)
{
	u8 data[64];

	for (unsigned i = 0; i < count; i++)
		put_word(data + 4 * i, words[i]);
	property(name, data, 4 * count);
}

#define CELLS(name, ...) cells(name, sizeof((u32[]){__VA_ARGS__}) / 4, (const u32[]){__VA_ARGS__})

static void begin_tree(u32 address_cells, u32 size_cells)
{
	memset(&tree, 0, sizeof(tree));
	begin_node("");
	CELLS("#address-cells", address_cells);
	CELLS("#size-cells", size_cells);
	property("compatible", "linux,dummy-virt", 17);
	begin_node("pl011@9000000");
	CELLS("reg", 0, 0x40000000, 0, 0x1000); /* no memory, though it says so of the same place */
	end_node();
}

/* malloc'ed, exactly as large as the header says */
static u8 *end_tree(void)
{
	u32 structure = HEADER_BYTES + RESERVED_BYTES, strings, total;
	u8 *fdt;

	end_node();
	add_word(9);
	strings = structure + tree.structure_bytes;
	total = strings + tree.strings_bytes;
	fdt = calloc(1, total);
	CHECK(fdt && !((u64)fdt % FDT_ALIGN));
	put_word(fdt, 0xd00dfeed);
	put_word(fdt + 4, total);
	put_word(fdt + 8, structure);
	put_word(fdt + 12, strings);
	put_word(fdt + 16, HEADER_BYTES);
	put_word(fdt + 20, 17);
	put_word(fdt + 24, 16);
	put_word(fdt + 32, tree.strings_bytes);
	put_word(fdt + 36, tree.structure_bytes);
	memcpy(fdt + structure, tree.structure, tree.structure_bytes);
	memcpy(fdt + strings, tree.strings, tree.strings_bytes);
	return fdt;
}

static u64 memory_of(u8 *fdt, u64 base)
{
	u64 bytes = fdt_memory_bytes(fdt, base);

	free(fdt);
	return bytes;
}

/* As QEMU has it: memory comes behind other nodes, with two cells for each number. */
static u8 *usual_tree(void)
{
	begin_tree(2, 2);
	begin_node("memory@40000000");
	CELLS("reg", 0, 0x40000000, 0x1, 0x20000000);
	property("device_type", "memory", 7);
	end_node();
	begin_node("cpus");
	CELLS("#address-cells", 1);
	CELLS("#size-cells", 0);
	begin_node("cpu@0");
	CELLS("reg", 0);
	property("device_type", "cpu", 4);
	end_node();
	end_node();
	return end_tree();
}

static void test_memory(void)
{
	CHECK(memory_of(usual_tree(), RAM) == 0x120000000);
	CHECK(memory_of(usual_tree(), RAM + 0x1000) == 0x120000000 - 0x1000);
	CHECK(memory_of(usual_tree(), RAM - 1) == 0);
	CHECK(memory_of(usual_tree(), RAM + 0x120000000) == 0);

	begin_tree(1, 1); /* cells of one word, several pairs, a NOP */
	begin_node("memory");
	property("device_type", "memory", 7);
	add_word(4);
	CELLS("reg", 0, 0x1000, 0x40000000, 0x10000000, 0x80000000, 0x1000);
	end_node();
	CHECK(memory_of(end_tree(), RAM) == 0x10000000);

	begin_tree(2, 2); /* two nodes: two pieces of RAM */
	for (u32 i = 0; i < 2; i++) {
		begin_node("memory@x");
		property("device_type", "memory", 7);
		CELLS("reg", 0, 0x80000000 - 0x40000000 * i, 0, 0x8000000 << i);
		end_node();
	}
	CHECK(memory_of(end_tree(), RAM) == 0x10000000);
}

static void test_no_memory(void)
{
	begin_tree(2, 2);
	CHECK(memory_of(end_tree(), RAM) == 0);

	begin_tree(2, 2); /* a memory node that is not the root's child */
	begin_node("soc");
	begin_node("memory@40000000");
	property("device_type", "memory", 7);
	CELLS("reg", 0, 0x40000000, 0, 0x10000000);
	end_node();
	end_node();
	CHECK(memory_of(end_tree(), RAM) == 0);

	for (u32 i = 0; i < 4; i++) { /* cells that no number has */
		static const u32 odd[4][2] = {{0, 2}, {3, 1}, {2, 0}, {0x80000000, 0x80000000}};

		begin_tree(odd[i][0], odd[i][1]);
		begin_node("memory@40000000");
		property("device_type", "memory", 7);
		CELLS("reg", 0, 0x40000000, 0, 0x10000000);
		end_node();
		CHECK(memory_of(end_tree(), RAM) == 0);
	}
}

static void test_not_a_tree(void)
{
	u8 *fdt = usual_tree();

	CHECK(fdt_bytes(fdt) > 0 && fdt_bytes(fdt + 4) == 0);
	fdt[0] ^= 1;
	CHECK(fdt_bytes(fdt) == 0 && memory_of(fdt, RAM) == 0);
	fdt = usual_tree();
	put_word(fdt + 4, FDT_BYTES_MAX + 1);
	CHECK(fdt_bytes(fdt) == 0 && memory_of(fdt, RAM) == 0);
	fdt = usual_tree();
	put_word(fdt + 20, 16);
	CHECK(memory_of(fdt, RAM) == 0);
	fdt = usual_tree();
	put_word(fdt + 24, 18);
	CHECK(memory_of(fdt, RAM) == 0);
}

/* @fdt after some damage, in memory of the size that it now claims. */
static void look_at(const u8 *fdt, u64 bytes)
{
	u64 claimed = fdt_bytes(fdt) > 8 ? fdt_bytes(fdt) : 8; /* these can be read in any case */
	u8 *exact = malloc(claimed);

	CHECK(exact);
	memset(exact, 0x5a, claimed);
	memcpy(exact, fdt, claimed < bytes ? claimed : bytes);
	fdt_memory_bytes(exact, RAM); /* whatever that is: nothing else was read */
	free(exact);
	CHECK(1);
}

static void test_damage(void)
{
	static const u32 tempting[] = {0, 1, 2, 3, 4, 9, 7, 8, 0x1000, 0x7fffffff, 0xfffffff0, ~0u};
	u8 *good = usual_tree(), *fdt;
	u64 bytes = fdt_bytes(good);

	fdt = aligned_alloc(FDT_ALIGN, (bytes + 7) & ~7UL);
	CHECK(fdt);
	for (u64 at = 0; at < bytes; at++) {
		for (unsigned round = 0; round < 8; round++) {
			memcpy(fdt, good, bytes);
			fdt[at] ^= 1u << round;
			look_at(fdt, bytes);
		}
	}
	for (unsigned round = 0; round < 200000; round++) {
		memcpy(fdt, good, bytes);
		for (u64 n = check_below(3) + 1; n > 0; n--)
			put_word(fdt + 4 * check_below(bytes / 4),
				 tempting[check_below(sizeof(tempting) / 4)]);
		look_at(fdt, bytes);
	}
	free(fdt);
	free(good);
}

int main(void)
{
	test_memory();
	test_no_memory();
	test_not_a_tree();
	test_damage();
	return check_finish();
}
