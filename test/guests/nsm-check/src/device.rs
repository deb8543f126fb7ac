//! /dev/nsm as a device: its node, its limits, its errors.
#![forbid(unsafe_code)]

use crate::ioctl::{self, NSM};
use crate::report::{Outcome, Report, same};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

const DESCRIBE: &[u8] = b"\x6bDescribeNSM";
const MAX_REQUEST_BYTES: usize = 0x1000;
const MAX_RESPONSE_BYTES: usize = 0x3000;
/// More than one GetRandom answer holds.
const RANDOM_BYTES: usize = 1000;

pub fn check(report: &Report) {
    report.check("/dev/nsm is one character device of mode 0666", node());
    report.check(
        "a request of 4096 bytes is answered, one of 4097 is EMSGSIZE",
        sizes(),
    );
    report.check(
        "another ioctl number is EINVAL",
        foreign(&[0xc020_0a01, 0xc020_0b00, 0x8020_0a00, 0x5401]),
    );
    report.check(
        "a response is cut without a word to the room there is",
        cut(),
    );
    report.check("memory that is not there is EFAULT", nowhere());
    report.check("an empty request is answered with an error", empty());
    report_driver(report);
}

/// Who serves the device: the kernel's driver is a misc device and a random number generator.
fn report_driver(report: &Report) {
    let told = |path| fs::read(path).unwrap_or_default();
    report.fact("miscDevice", &told("/sys/class/misc/nsm/dev"));
    report.fact("generator", &told("/sys/class/misc/hw_random/rng_current"));
    report.fact("random", &hardware_random().unwrap_or_default());
}

fn hardware_random() -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; RANDOM_BYTES];
    File::open("/dev/hwrng")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn open() -> Result<File, String> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/nsm")
        .map_err(text)
}

fn text(error: io::Error) -> String {
    error.to_string()
}

fn node() -> Outcome {
    let metadata = fs::symlink_metadata("/dev/nsm").map_err(text)?;
    same(metadata.file_type().is_char_device(), true)?;
    same(metadata.permissions().mode() & 0o7777, 0o666)?;
    let nodes = fs::read_dir("/dev")
        .map_err(text)?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().contains("nsm"))
        .count();
    same(nodes, 1)
}

fn errno(result: io::Result<usize>) -> Result<usize, Option<i32>> {
    result.map_err(|error| error.raw_os_error())
}

fn sizes() -> Outcome {
    let device = open()?;
    let mut response = [0; MAX_RESPONSE_BYTES];
    let mut send = |length: usize| {
        let request = vec![0; length];
        errno(ioctl::send(&device, NSM, &request, &mut response))
    };
    same(send(MAX_REQUEST_BYTES).map(|length| length > 0), Ok(true))?;
    same(send(MAX_REQUEST_BYTES + 1), Err(Some(libc::EMSGSIZE)))?;
    same(send(1 << 20), Err(Some(libc::EMSGSIZE)))
}

fn foreign(numbers: &[libc::Ioctl]) -> Outcome {
    let device = open()?;
    for &number in numbers {
        let answer = errno(ioctl::send(&device, number, DESCRIBE, &mut [0; 256]));
        same((number, answer), (number, Err(Some(libc::EINVAL))))?;
    }
    Ok(())
}

fn cut() -> Outcome {
    let device = open()?;
    let mut whole = [0; MAX_RESPONSE_BYTES];
    let length = ioctl::send(&device, NSM, DESCRIBE, &mut whole).map_err(text)?;
    for room in [0, 1, 10, length - 1, length] {
        let mut part = vec![0xee; room];
        let reported = ioctl::send(&device, NSM, DESCRIBE, &mut part).map_err(text)?;
        same((room, reported), (room, room))?;
        same(&part[..], &whole[..room])?;
    }
    Ok(())
}

fn nowhere() -> Outcome {
    let error = ioctl::send_nowhere(&open()?).map_err(|error| error.raw_os_error());
    same(error, Err(Some(libc::EFAULT)))
}

fn empty() -> Outcome {
    let mut response = [0; 64];
    let length = ioctl::send(&open()?, NSM, b"", &mut response).map_err(text)?;
    same(response[..length].starts_with(b"\xa1\x65Error"), true)
}
