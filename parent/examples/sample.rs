//! A parent program in Rust, of the shape of AWS's vsock_sample: `client CID PORT` sends standard input,
//! half-closes and prints what comes back; `server PORT COUNT` echoes streams.

use std::io::{self, Error};
use std::net::Shutdown;

use vsock::{VMADDR_CID_ANY, VsockListener, VsockStream};

fn client(cid: u32, port: u32) -> io::Result<()> {
    let mut stream = VsockStream::connect_with_cid_port(cid, port)?;
    io::copy(&mut io::stdin(), &mut stream)?;
    stream.shutdown(Shutdown::Write)?;
    io::copy(&mut stream, &mut io::stdout())?;
    Ok(())
}

fn server(port: u32, count: u32) -> io::Result<()> {
    let listener = VsockListener::bind_with_cid_port(VMADDR_CID_ANY, port)?;
    eprintln!("listening");
    for _ in 0..count {
        let (mut stream, peer) = listener.accept()?;
        println!("cid {} port {}", peer.cid(), peer.port());
        io::copy(&mut stream.try_clone()?, &mut stream)?;
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let number = |index: usize| words[index].parse().map_err(Error::other);
    match words[0].as_str() {
        "client" => client(number(1)?, number(2)?),
        _ => server(number(1)?, number(2)?),
    }
}
