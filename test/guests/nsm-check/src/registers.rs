//! PCRs and documents.
#![forbid(unsafe_code)]

use crate::client::{ask, attest, describe, extend, refused};
use crate::report::{Outcome, Report, each, same};
use aws_nitro_enclaves_nsm_api::api::{Digest, Request, Response};
use std::collections::BTreeSet;

const RESERVED: std::ops::Range<u16> = 0..16;
const FREE: std::ops::Range<u16> = 16..32;
const ALL: std::ops::Range<u16> = 0..32;
const PCR_BYTES: usize = 48;

pub fn check_at_boot(report: &Report) {
    report.check(
        "a document without any data is given before anything else",
        attest(0, 0, 0).map(|document| report.fact("documentAtBoot", &document)),
    );
    report.check(
        "the NSM is 1.0.0, SHA-384, 32 PCRs, 0 to 15 locked",
        described(report),
    );
    report.check(
        "PCRs 0 to 15 are locked; 16 to 31 are open and zero",
        each(ALL, |index| {
            let (lock, data) = describe(index)?;
            same((index, lock, data.len()), (index, index < 16, PCR_BYTES))?;
            same(index < 16 || data.iter().all(|&byte| byte == 0), true)
        }),
    );
    report.check(
        "a reserved PCR is neither locked again nor extended",
        each(RESERVED, |index| {
            refused(ask(Request::LockPCR { index }), "ReadOnlyIndex")?;
            same(extend(index, b"x"), Err("ReadOnlyIndex".into()))
        }),
    );
    report.check(
        "random bytes come 256 at a time and never twice the same",
        random(),
    );
}

fn described(report: &Report) -> Outcome {
    match ask(Request::DescribeNSM) {
        Response::DescribeNSM {
            version_major,
            version_minor,
            version_patch,
            module_id,
            max_pcrs,
            locked_pcrs,
            digest,
        } => {
            report.fact("moduleId", module_id.as_bytes());
            same((version_major, version_minor, version_patch), (1, 0, 0))?;
            same(max_pcrs, 32)?;
            same(locked_pcrs, BTreeSet::from_iter(RESERVED))?;
            same(matches!(digest, Digest::SHA384), true)
        }
        other => Err(format!("{other:?}")),
    }
}

fn random() -> Outcome {
    let mut seen = BTreeSet::new();
    for _ in 0..8 {
        match ask(Request::GetRandom) {
            Response::GetRandom { random } if random.len() == 256 => seen.insert(random),
            other => return Err(format!("{other:?}")),
        };
    }
    same(seen.len(), 8)
}

pub fn check_extending(report: &Report) {
    report.check("every extension changes a PCR", {
        each(FREE, |index| {
            let mut seen = BTreeSet::from([describe(index)?.1]);
            for _ in 0..3 {
                seen.insert(extend(index, b"\x01\x02\x03")?);
            }
            same((index, seen.len()), (index, 4))
        })
    });
    report.check(
        "data of 1, 47, 48, 49 and 1024 bytes extends a PCR",
        each([1, 47, 48, 49, 1024], |length| {
            extend(20, &vec![7; length]).map(drop)
        }),
    );
    report.check(
        "no data is an invalid argument, 1025 bytes are too large",
        {
            same(extend(20, b""), Err("InvalidArgument".into()))
                .and_then(|()| same(extend(20, &[7; 1025]), Err("InputTooLarge".into())))
        },
    );
    report.check("a PCR above 31 does not exist", beyond());
    report.check("what is extended can be read back", {
        describe(21).and_then(|(_, old)| {
            let new = extend(21, b"cloister")?;
            report.fact("extendOld", &old);
            report.fact("extendNew", &new);
            same(describe(21)?, (false, new))
        })
    });
}

fn beyond() -> Outcome {
    let index = 32;
    for request in [
        Request::DescribePCR { index },
        Request::LockPCR { index },
        Request::ExtendPCR {
            index,
            data: vec![1],
        },
        Request::LockPCRs { range: 33 },
    ] {
        refused(ask(request), "InvalidIndex")?;
    }
    Ok(())
}

pub fn check_locking(report: &Report) {
    report.check("PCR 16 can be locked, once", {
        same(
            matches!(ask(Request::LockPCR { index: 16 }), Response::LockPCR),
            true,
        )
        .and_then(|()| refused(ask(Request::LockPCR { index: 16 }), "ReadOnlyIndex"))
    });
    report.check("a document is given over a locked PCR of the app", {
        attest(0, 1, 0).map(|document| report.fact("documentAfterLock", &document))
    });
    report.check(
        "a range is locked although parts of it are, and one of 0 locks nothing",
        each([0, 17, 32, 32], |range| {
            same(
                matches!(ask(Request::LockPCRs { range }), Response::LockPCRs),
                true,
            )
        }),
    );
    report.check(
        "a locked PCR is described and not extended",
        each(ALL, |index| {
            let (lock, before) = describe(index)?;
            same(extend(index, b"x"), Err("ReadOnlyIndex".into()))?;
            same((lock, describe(index)?.1), (true, before))
        }),
    );
    report.check(
        "documents hold 1024 bytes in each field, and in all three at once",
        each(
            [(1024, 0, 0), (0, 1024, 0), (0, 0, 1024), (1024, 1024, 1024)],
            |(user_data, nonce, public_key)| attest(user_data, nonce, public_key).map(drop),
        ),
    );
    report.check(
        "1025 bytes in any field are too large",
        each(
            [(1025, 0, 0), (0, 1025, 0), (0, 0, 1025)],
            |(user_data, nonce, public_key)| {
                same(
                    attest(user_data, nonce, public_key).map(drop),
                    Err("InputTooLarge".into()),
                )
            },
        ),
    );
}
