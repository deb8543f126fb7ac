/* A parent program in C: listens at PORT, tells who dials it, and echoes COUNT streams. */
#include <stdio.h>
#include <stdlib.h>
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

static void echo(int fd)
{
    char bytes[65536];
    ssize_t count;
    while ((count = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        check(send(fd, bytes, (size_t)count, 0) == count ? 0 : -1, "send");
    check((int)count, "recv");
    check(close(fd), "close");
}

int main(int argc, char **argv)
{
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY};
    if (argc != 3)
        return 2;
    address.svm_port = (unsigned)strtoul(argv[1], NULL, 10);
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    check(fd, "socket");
    check(bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind");
    check(listen(fd, 16), "listen");
    fprintf(stderr, "listening\n");
    for (int left = atoi(argv[2]); left > 0; left--) {
        struct sockaddr_vm peer, again;
        socklen_t length = sizeof(peer), length_again = sizeof(again);
        int connection = accept(fd, (struct sockaddr *)&peer, &length);
        check(connection, "accept");
        check(getpeername(connection, (struct sockaddr *)&again, &length_again), "getpeername");
        if (length != sizeof(peer) || peer.svm_family != AF_VSOCK || again.svm_port != peer.svm_port)
            return 3;
        printf("cid %u port %u\n", peer.svm_cid, peer.svm_port);
        fflush(stdout);
        echo(connection);
    }
    return 0;
}
