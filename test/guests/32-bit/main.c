/* A 32-bit program without a C library: it maps memory, asks who it is, and exits with 32.
   gcc -m32 -static -nostdlib -ffreestanding -O1 */

static int call(int number, long a, long b, long c, long d, long e)
{
	int result;
	__asm__ volatile("int $0x80" : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
	return result;
}

enum { EXIT = 1, GETUID16 = 24, UNAME = 122, MMAP2 = 192 };

void _start(void)
{
	char names[390];
	int page = call(MMAP2, 0, 4096, 3 /* read, write */, 0x22 /* private, anonymous */, -1);
	int failed = (unsigned)page > 0xfffff000 || call(UNAME, (long)names, 0, 0, 0, 0) != 0 ||
		     call(GETUID16, 0, 0, 0, 0, 0) != 0;
	if (!failed)
		*(volatile char *)page = 1;
	call(EXIT, failed ? 1 : 32, 0, 0, 0, 0);
	for (;;)
		;
}
