/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instruction budget: a TCG plugin that counts retired instructions and holds the vCPU at the
 * translation block in which the budget runs out.
 *
 * QEMU's headers are not part of its Debian package, so the few prototypes are declared here; they
 * are the same from plugin API 1 (QEMU 7.2) to 4 (QEMU 10). Only the version number differs, and it
 * comes from the compiler's command line (-DPLUGIN_API_VERSION=n).
 *
 * The counter lives in a page that the harness maps too, and so does the limit, which the harness
 * may change whenever the machine is stopped. When the limit is reached the vCPU thread writes one
 * byte to the notify pipe and sleeps on the resume pipe: meanwhile the harness asks QEMU to stop,
 * so that the stop is pending before the first instruction after the limit could be executed.
 *
 * A block is counted when it is entered. A block left early by an exception counts whole: the
 * number is an upper bound, and the same one in every run under icount.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_info_t;
enum qemu_plugin_cb_flags {
	QEMU_PLUGIN_CB_NO_REGS
};

typedef void (*tb_translated_fn)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*tb_executed_fn)(unsigned cpu, void *data);

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_translated_fn fn);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, tb_executed_fn fn,
						 enum qemu_plugin_cb_flags flags, void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);

#define EXPORT __attribute__((visibility("default")))

EXPORT int qemu_plugin_version = PLUGIN_API_VERSION;

/* Shared with grader/budget.py. */
struct shared {
	_Atomic uint64_t retired;
	_Atomic uint64_t limit;
	_Atomic uint64_t
		reached; /* 1 from the moment the limit was hit until the next one is set */
	_Atomic uint64_t pc; /* first instruction of the block that would cross the limit */
	_Atomic uint64_t cpu;
};

struct block {
	uint64_t pc;
	uint64_t insns;
};

static struct shared *shared;
static int notify_fd = -1;
static int resume_fd = -1;

static void hold(unsigned cpu, const struct block *block)
{
	uint64_t expected = 0;
	char byte = 'B';

	if (!atomic_compare_exchange_strong(&shared->reached, &expected, 1))
		return;
	atomic_store(&shared->pc, block->pc);
	atomic_store(&shared->cpu, cpu);
	while (write(notify_fd, &byte, 1) < 0 && errno == EINTR)
		;
	while (read(resume_fd, &byte, 1) < 0 && errno == EINTR)
		;
}

static void tb_executed(unsigned cpu, void *data)
{
	const struct block *block = data;
	uint64_t before =
		atomic_fetch_add_explicit(&shared->retired, block->insns, memory_order_relaxed);

	if (before + block->insns > atomic_load_explicit(&shared->limit, memory_order_relaxed))
		hold(cpu, block);
}

static void tb_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	struct block *block = malloc(sizeof(*block));

	(void)id;
	if (!block)
		abort();
	block->pc = qemu_plugin_tb_vaddr(tb);
	block->insns = qemu_plugin_tb_n_insns(tb);
	qemu_plugin_register_vcpu_tb_exec_cb(tb, tb_executed, QEMU_PLUGIN_CB_NO_REGS, block);
}

static int map_shared(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return shared == MAP_FAILED ? -1 : 0;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc,
			       char **argv)
{
	int error = -1;

	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "shared=", 7))
			error = map_shared(argv[i] + 7);
		else if (!strncmp(argv[i], "notify=", 7))
			notify_fd = atoi(argv[i] + 7);
		else if (!strncmp(argv[i], "resume=", 7))
			resume_fd = atoi(argv[i] + 7);
		else
			return -1;
	}
	if (error || notify_fd < 0 || resume_fd < 0)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, tb_translated);
	return 0;
}
