//! The command line.

use std::os::fd::RawFd;

use cloister_confine::inherited::parse_descriptor;

pub const USAGE: &str = "\
usage: cloister-nsm --vhost-user fd=N --channel fd=N
  --vhost-user fd=N   inherited listening socket where the VMM connects; the card exits when it goes
  --channel fd=N      inherited stream socket to the keeper, which answers; the card exits at its end
";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    pub vhost_user: RawFd,
    pub channel: RawFd,
}

impl Arguments {
    /// # Errors
    /// A sentence for the user when an option is unknown, missing or out of range.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut words = words.into_iter();
        let (mut vhost_user, mut channel) = (None, None);
        while let Some(option) = words.next() {
            let value = words
                .next()
                .ok_or_else(|| format!("{option} needs a value"))?;
            match option.as_str() {
                "--vhost-user" => vhost_user = Some(parse_descriptor(&value)?),
                "--channel" => channel = Some(parse_descriptor(&value)?),
                _ => return Err(format!("{option}: no such option")),
            }
        }
        Ok(Self {
            vhost_user: vhost_user.ok_or("--vhost-user is missing")?,
            channel: channel.ok_or("--channel is missing")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn takes_two_descriptors() {
        let arguments = parse_line("--vhost-user fd=4 --channel fd=3").unwrap();
        assert_eq!((arguments.vhost_user, arguments.channel), (4, 3));
    }

    #[test]
    fn refuses_standard_streams_and_what_is_missing_or_unknown() {
        for line in [
            "--vhost-user fd=4 --channel fd=2",
            "--vhost-user fd=4 --channel 3",
            "--vhost-user v --channel fd=3",
            "--vhost-user fd=4",
            "--channel fd=3",
            "--channel",
            "--vhost-user fd=4 --channel fd=3 --frobnicate 1",
        ] {
            assert!(parse_line(line).is_err(), "{line}");
        }
    }
}
