//! An app that dials ports of its parent on request and reports how it went.
#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::thread;
use vsock::{VMADDR_CID_ANY, VsockListener, VsockStream};

const PARENT: u32 = 3;

/// Each connection: a line `<first> <last>`, for each port of which a line `<port> open` or
/// `<port> refused`; a line with one port keeps its stream, and reports its end with `<port> closed`.
/// With `echo <port> <word>` what the port answers to the word is passed on.
pub fn run() {
    let listener = VsockListener::bind_with_cid_port(VMADDR_CID_ANY, crate::PORT).expect("a port");
    for stream in listener.incoming().flatten() {
        thread::spawn(move || {
            // Whoever asked may go away before the answer.
            let _ = serve(stream);
        });
    }
}

fn serve(asker: VsockStream) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(asker.try_clone()?).read_line(&mut line)?;
    if let ["echo", port, word] = line.split_whitespace().collect::<Vec<_>>()[..] {
        return echo(port.parse().unwrap_or_default(), word, &asker);
    }
    let ports: Vec<u32> = line.split_whitespace().flat_map(str::parse).collect();
    match ports[..] {
        [port] => dial_and_stay(port, asker),
        [first, last] => (first..=last).try_for_each(|port| dial(port, &asker).map(drop)),
        _ => Ok(()),
    }
}

fn dial(port: u32, mut asker: &VsockStream) -> std::io::Result<Option<VsockStream>> {
    let stream = VsockStream::connect_with_cid_port(PARENT, port).ok();
    let outcome = if stream.is_some() { "open" } else { "refused" };
    writeln!(asker, "{port} {outcome}")?;
    Ok(stream)
}

fn echo(port: u32, word: &str, mut asker: &VsockStream) -> std::io::Result<()> {
    let Some(mut stream) = dial(port, asker)? else {
        return Ok(());
    };
    stream.write_all(word.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    std::io::copy(&mut stream, &mut asker).map(drop)
}

fn dial_and_stay(port: u32, mut asker: VsockStream) -> std::io::Result<()> {
    let Some(mut stream) = dial(port, &asker)? else {
        return Ok(());
    };
    // Linux reports the reset of an open stream as its end.
    let _ = stream.read_to_end(&mut Vec::new());
    writeln!(asker, "{port} closed")
}
