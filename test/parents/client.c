/* A parent program in C, of the shape of AWS's vsock samples: dials CID PORT, sends standard input,
 * half-closes, prints what comes back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

static void check(int result, const char *what)
{
    if (result >= 0)
        return;
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    struct sockaddr_vm address = {.svm_family = AF_VSOCK};
    char bytes[65536];
    ssize_t count;
    if (argc != 3)
        return 2;
    address.svm_cid = (unsigned)strtoul(argv[1], NULL, 10);
    address.svm_port = (unsigned)strtoul(argv[2], NULL, 10);
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(fd, "socket");
    check(connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect");
    while ((count = read(0, bytes, sizeof(bytes))) > 0)
        check(send(fd, bytes, (size_t)count, 0) == count ? 0 : -1, "send");
    check(shutdown(fd, SHUT_WR), "shutdown");
    while ((count = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        check(write(1, bytes, (size_t)count) == count ? 0 : -1, "write");
    check((int)count, "recv");
    return 0;
}
