# How a kernel is made of its source and its fragments. Sourced by build.sh; the name under which a
# result is cached depends on every byte of this file, so what does not change the result is not here.

# make with nothing from the caller's environment, and nothing of this machine in the result: not the
# version of its Rust compiler either, which the configuration would name.
kernel_make() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent LC_ALL=C TZ=UTC \
    KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' KBUILD_BUILD_VERSION=1 \
    KBUILD_BUILD_USER=cloister KBUILD_BUILD_HOST=cloister \
    make ARCH=x86_64 RUSTC=/nonexistent "$@"
}

# configure FRAGMENT...: in the source directory.
configure() {
  kernel_make tinyconfig &&
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C \
      scripts/kconfig/merge_config.sh -m .config "$@" &&
    kernel_make olddefconfig
}

# collect OUT: the kernel's three files.
collect() {
  cp arch/x86/boot/bzImage "$1/bzImage"
  strip --strip-all -o "$1/vmlinux" vmlinux
  cp .config "$1/kernel.config"
  chmod 644 "$1"/*
}
