/* SPDX-License-Identifier: MIT */
/*
 * An emulator that is started once and runs many times. Half of the time that QEMU takes to start
 * goes by before its main(): 50 libraries are mapped, and 100,000 places relocated. With this library
 * preloaded a program stands before its main() and makes a copy of itself for each message on the
 * socket that PRESTART_FD names; the copy goes on with the arguments, the directory and the
 * descriptors of the message. What runs is the same program, and nothing of one run is seen by the
 * next.
 *
 * The copy is a child of the process that asked for it, as if that had started it: its parent in
 * between ends at once, and who asks has made itself the reaper of its descendants
 * (grader/machine/prestart.py).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FD_MAX 64
#define ARG_MAX_COUNT 1024
#define MODULE_INIT_QOM 3 /* in QEMU's enum module_init_type */
#define HIGH_FD 512 /* above all that a message names */

typedef int main_fn(int argc, char **argv, char **environ);

/* Then follow the directory and the arguments, each with a NUL at its end. */
struct request {
	uint32_t fd_count;
	int32_t fds[FD_MAX]; /* the numbers that the descriptors get */
};

static union {
	struct request request;
	char bytes[1 << 17];
} message;
static int received[FD_MAX];
static size_t length;
static main_fn *real_main;

static int receive(int control)
{
	char space[CMSG_SPACE(sizeof(received))];
	struct iovec part = {&message, sizeof(message) - 1};
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = space,
				.msg_controllen = sizeof(space)};
	ssize_t count = recvmsg(control, &header, MSG_CMSG_CLOEXEC);
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);

	if (count < (ssize_t)sizeof(struct request) || !rights ||
	    rights->cmsg_len != CMSG_LEN(message.request.fd_count * sizeof(int)))
		return 0;
	memcpy(received, CMSG_DATA(rights), message.request.fd_count * sizeof(int));
	length = (size_t)count;
	return 1;
}

static void take_descriptors(void)
{
	uint32_t count = message.request.fd_count;
	int high[FD_MAX];

	for (uint32_t i = 0; i < count; i++) {
		high[i] = fcntl(received[i], F_DUPFD, HIGH_FD);
		close(received[i]);
	}
	for (uint32_t i = 0; i < count; i++) {
		dup2(high[i], message.request.fds[i]);
		close(high[i]);
	}
}

static int run(int argc, char **argv)
{
	static char *arguments[ARG_MAX_COUNT + 1];
	char *at = message.bytes + sizeof(struct request), *end = message.bytes + length;
	char *directory = at;
	int count = 0;

	while (count < argc && count < ARG_MAX_COUNT)
		arguments[count] = argv[count], count++;
	for (at += strlen(at) + 1; at < end && count < ARG_MAX_COUNT; at += strlen(at) + 1)
		arguments[count++] = at;
	take_descriptors();
	if (chdir(directory))
		_exit(127);
	unsetenv("LD_PRELOAD");
	unsetenv("PRESTART_FD");
	return real_main(count, arguments, environ);
}

/* In the process that will run: waits until its parent has ended, and ends with its new one. */
static void be_adopted(int go, pid_t asker)
{
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(127);
	close(go);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != asker)
		_exit(127);
	setsid();
}

/*
 * What QEMU does with its types whatever its arguments are, once: to find its machine it initializes
 * all of them.
 */
static void initialize_types(void)
{
	void (*register_types)(int) = (__typeof__(register_types))dlsym(RTLD_DEFAULT, "module_call_init");
	void *(*list)(const char *, int) = (__typeof__(list))dlsym(RTLD_DEFAULT, "object_class_get_list");

	if (!register_types || !list)
		return;
	register_types(MODULE_INIT_QOM);
	list("machine", 0);
}

static int serve(int argc, char **argv, int control)
{
	pid_t asker = getppid(), middle, made;
	int go[2], told[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	initialize_types();
	if (send(control, "", 1, MSG_NOSIGNAL) != 1)
		return 1;
	while (receive(control)) {
		if (pipe2(go, O_CLOEXEC) || pipe2(told, O_CLOEXEC) || (middle = fork()) < 0)
			return 1;
		if (!middle) {
			made = fork();
			if (made)
				_exit(write(told[1], &made, sizeof(made)) != sizeof(made));
			close(control);
			close(go[1]);
			close(told[0]);
			close(told[1]);
			be_adopted(go[0], asker);
			return run(argc, argv);
		}
		for (uint32_t i = 0; i < message.request.fd_count; i++)
			close(received[i]);
		close(told[1]);
		close(go[0]);
		if (waitpid(middle, NULL, 0) != middle ||
		    read(told[0], &made, sizeof(made)) != sizeof(made) ||
		    write(go[1], "", 1) != 1 ||
		    send(control, &made, sizeof(made), MSG_NOSIGNAL) < 0)
			return 1;
		close(told[0]);
		close(go[1]);
	}
	return 0;
}

static int before_main(int argc, char **argv, char **environment)
{
	const char *number = getenv("PRESTART_FD");

	return number ? serve(argc, argv, atoi(number)) : real_main(argc, argv, environment);
}

int __libc_start_main(main_fn *program, int argc, char **argv, void (*init)(void),
		      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
	int (*start)(main_fn *, int, char **, void (*)(void), void (*)(void), void (*)(void),
		     void *) = (__typeof__(start))dlsym(RTLD_NEXT, "__libc_start_main");

	real_main = program;
	return start(before_main, argc, argv, init, fini, rtld_fini, stack_end);
}
