// SPDX-License-Identifier: MIT
/*
 * A reader of flattened device trees that looks for one number. The tree comes from outside:
 * offsets and lengths are compared with the bytes that are left before they are used, each read is
 * of a word that lies in the tree, and the walk ends because every token moves it on.
 *
 * Words are big endian and 4-byte aligned, as they must be where EL2 reads them: before its MMU is
 * on, all memory is Device.
 */
#include "fdt.h"

#include "lib/bits.h"
#include "lib/string.h"

#define FDT_MAGIC 0xd00dfeed
#define FDT_VERSION 17 /* since then the header has the size of the structure block */
#define FDT_HEADER_BYTES 40

enum fdt_token {
	FDT_BEGIN_NODE = 1,
	FDT_END_NODE = 2,
	FDT_PROP = 3,
	FDT_NOP = 4,
};

/** struct fdt_reader - a place in the structure block; offsets are from the start of the tree */
struct fdt_reader {
	const u8 *fdt;
	u64 at, end; /* of the structure block, what is left of it */
	u64 strings, strings_end;
};

/** struct fdt_value - of a property; @name is terminated */
struct fdt_value {
	const char *name;
	const u8 *data;
	u64 bytes;
};

/** struct fdt_node - what the walk knows of the node it is in, a child of the root */
struct fdt_node {
	bool is_memory;
	struct fdt_value reg;
};

static u32 word_at(const u8 *fdt, u64 offset)
{
	return __builtin_bswap32(*(const u32 *)(fdt + offset));
}

/* Whether @length bytes from @offset on lie below @end, the first of them word-aligned. */
static bool lies_within(u64 offset, u64 length, u64 end)
{
	return is_aligned(offset, 4) && offset <= end && length <= end - offset;
}

u64 fdt_bytes(const void *fdt)
{
	if (!is_aligned((u64)fdt, FDT_ALIGN) || word_at(fdt, 0) != FDT_MAGIC)
		return 0;
	return word_at(fdt, 4) <= FDT_BYTES_MAX ? word_at(fdt, 4) : 0;
}

static bool reader_init(struct fdt_reader *reader, const u8 *fdt)
{
	u64 total = fdt_bytes(fdt), structure, structure_bytes, strings_bytes;

	if (total < FDT_HEADER_BYTES)
		return false;
	structure = word_at(fdt, 8);
	reader->strings = word_at(fdt, 12);
	strings_bytes = word_at(fdt, 32);
	structure_bytes = word_at(fdt, 36);
	if (word_at(fdt, 20) < FDT_VERSION || word_at(fdt, 24) > FDT_VERSION ||
	    !lies_within(structure, structure_bytes, total) || reader->strings > total ||
	    strings_bytes > total - reader->strings)
		return false;
	reader->fdt = fdt;
	reader->at = structure;
	reader->end = structure + structure_bytes;
	reader->strings_end = reader->strings + strings_bytes;
	return true;
}

static bool read_word(struct fdt_reader *reader, u32 *word)
{
	if (!lies_within(reader->at, 4, reader->end))
		return false;
	*word = word_at(reader->fdt, reader->at);
	reader->at += 4;
	return true;
}

/* Move on behind @bytes and the padding to a word; false if the block ends before. */
static bool skip_bytes(struct fdt_reader *reader, u64 bytes)
{
	if (!lies_within(reader->at, align_up(bytes, 4), reader->end))
		return false;
	reader->at += align_up(bytes, 4);
	return true;
}

/* Where the string at @offset ends, behind its NUL; 0 if that does not come before @end. */
static u64 string_end(const u8 *fdt, u64 offset, u64 end)
{
	for (u64 at = offset; at < end; at++)
		if (!fdt[at])
			return at + 1;
	return 0;
}

static bool skip_string(struct fdt_reader *reader)
{
	u64 end = string_end(reader->fdt, reader->at, reader->end);

	return end && skip_bytes(reader, end - reader->at);
}

static bool read_property(struct fdt_reader *reader, struct fdt_value *value)
{
	u32 bytes, name;

	if (!read_word(reader, &bytes) || !read_word(reader, &name) ||
	    !string_end(reader->fdt, reader->strings + name, reader->strings_end))
		return false;
	value->name = (const char *)reader->fdt + reader->strings + name;
	value->data = reader->fdt + reader->at;
	value->bytes = bytes;
	return skip_bytes(reader, bytes);
}

static u64 cells_at(const struct fdt_value *value, u64 cell, u32 cells)
{
	u64 number = word_at(value->data, 4 * cell);

	return cells == 1 ? number : number << 32 | word_at(value->data, 4 * (cell + 1));
}

/* Of the (address, size) pairs of @reg, what lies from @base on in the first that holds @base. */
static u64 bytes_from(const struct fdt_value *reg, u32 address_cells, u32 size_cells, u64 base)
{
	u64 pair = address_cells + size_cells;

	if (address_cells < 1 || address_cells > 2 || size_cells < 1 || size_cells > 2)
		return 0;
	for (u64 cell = 0; 4 * (cell + pair) <= reg->bytes; cell += pair) {
		u64 start = cells_at(reg, cell, address_cells);
		u64 bytes = cells_at(reg, cell + address_cells, size_cells);

		if (base - start < bytes)
			return bytes - (base - start);
	}
	return 0;
}

static void note_property(const struct fdt_value *value, struct fdt_node *node)
{
	if (!strcmp(value->name, "device_type"))
		node->is_memory = value->bytes == sizeof("memory") &&
				  !memcmp(value->data, "memory", sizeof("memory"));
	else if (!strcmp(value->name, "reg"))
		node->reg = *value;
}

static void note_cells(const struct fdt_value *value, u32 *address_cells, u32 *size_cells)
{
	if (value->bytes != 4)
		return;
	if (!strcmp(value->name, "#address-cells"))
		*address_cells = word_at(value->data, 0);
	else if (!strcmp(value->name, "#size-cells"))
		*size_cells = word_at(value->data, 0);
}

/*
 * The root is at depth 1, memory nodes are its children. A node's properties come before its
 * children, so the root's cells are known when a child's reg is read.
 */
u64 fdt_memory_bytes(const void *fdt, u64 base)
{
	u32 address_cells = 2, size_cells = 1, token;
	struct fdt_reader reader;
	struct fdt_node node = {0};
	struct fdt_value value;
	unsigned depth = 0;
	u64 found = 0;

	if (!reader_init(&reader, fdt))
		return 0;
	while (!found && read_word(&reader, &token)) {
		switch (token) {
		case FDT_BEGIN_NODE:
			if (!skip_string(&reader))
				return 0;
			depth++;
			if (depth == 2)
				node = (struct fdt_node){0};
			break;
		case FDT_END_NODE:
			if (depth == 0)
				return 0;
			if (depth == 2 && node.is_memory)
				found = bytes_from(&node.reg, address_cells, size_cells, base);
			depth--;
			break;
		case FDT_PROP:
			if (!read_property(&reader, &value))
				return 0;
			if (depth == 1)
				note_cells(&value, &address_cells, &size_cells);
			else if (depth == 2)
				note_property(&value, &node);
			break;
		case FDT_NOP:
			break;
		default:
			return 0;
		}
	}
	return found;
}
