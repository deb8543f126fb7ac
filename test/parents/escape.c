/* Tries every way to a socket of the host's AF_VSOCK that does not go through 64-bit socket(2), and
 * prints what each gives. It dials nothing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SOCKET_32 359
#define SOCKETCALL_32 102
#define X32 0x40000000

static long call_32(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    return result;
}

int main(void)
{
    char parameters[120] = {0};
    int *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (low == MAP_FAILED)
        return 1;
    low[0] = AF_VSOCK;
    low[1] = SOCK_STREAM;
    printf("32-bit socket %s\n", strerrorname_np((int)-call_32(SOCKET_32, AF_VSOCK, SOCK_STREAM, 0)));
    printf("32-bit socketcall %s\n", strerrorname_np((int)-call_32(SOCKETCALL_32, 1, (long)low, 0)));
    printf("x32 socket %s\n", syscall(X32 + SYS_socket, AF_VSOCK, SOCK_STREAM, 0) < 0 ? strerrorname_np(errno) : "made");
    printf("io_uring %s\n", syscall(SYS_io_uring_setup, 1, parameters) < 0 ? strerrorname_np(errno) : "made");
    printf("family in the upper half %s\n", syscall(SYS_socket, AF_VSOCK | (1L << 40), SOCK_SEQPACKET, 0) < 0 ? strerrorname_np(errno) : "made");
    return 0;
}
