//! The command line.

use std::os::fd::RawFd;

use cloister_confine::inherited::parse_descriptor;

pub const USAGE: &str = "\
usage: cloister-network --listen fd=N --channel fd=N
       cloister-network --explain HOST:PORT[/udp] < POLICY.json
       cloister-network --dial (started by the card itself)
  --listen fd=N    inherited listening unix socket where the guest's streams arrive
  --channel fd=N   inherited stream socket to the keeper; the card exits at its end
  --explain FLOW   says what the rules on standard input decide, as JSON
";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments {
    Serve {
        listen: RawFd,
        channel: RawFd,
    },
    /// Dials the guest for the card that started it.
    Dial,
    Explain(String),
}

impl Arguments {
    /// # Errors
    /// A sentence for the user when an option is unknown, missing or out of range.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut words = words.into_iter().peekable();
        if words.next_if(|word| word == "--dial").is_some() {
            let rest = words
                .next()
                .map(|word| format!("{word}: not beside --dial"));
            return rest.map_or(Ok(Self::Dial), Err);
        }
        let (mut listen, mut channel, mut explain) = (None, None, None);
        while let Some(option) = words.next() {
            let value = words
                .next()
                .ok_or_else(|| format!("{option} needs a value"))?;
            match option.as_str() {
                "--listen" => listen = Some(parse_descriptor(&value)?),
                "--channel" => channel = Some(parse_descriptor(&value)?),
                "--explain" => explain = Some(value),
                _ => return Err(format!("{option}: no such option")),
            }
        }
        match (listen, channel, explain) {
            (Some(listen), Some(channel), None) => Ok(Self::Serve { listen, channel }),
            (None, None, Some(flow)) => Ok(Self::Explain(flow)),
            _ => Err("give --listen and --channel, or --explain".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn serves_or_explains() {
        assert_eq!(
            parse_line("--listen fd=4 --channel fd=3"),
            Ok(Arguments::Serve {
                listen: 4,
                channel: 3
            })
        );
        assert_eq!(
            parse_line("--explain a.b:443"),
            Ok(Arguments::Explain("a.b:443".to_owned()))
        );
        assert_eq!(parse_line("--dial"), Ok(Arguments::Dial));
    }

    #[test]
    fn refuses_standard_streams_and_what_is_missing_or_unknown() {
        for line in [
            "--listen fd=4",
            "--listen fd=2 --channel fd=3",
            "--listen 4 --channel fd=3",
            "--listen fd=4 --channel fd=3 --explain a.b:1",
            "--explain",
            "--dial --listen fd=4",
            "--frobnicate 1",
        ] {
            assert!(parse_line(line).is_err(), "{line}");
        }
    }
}
