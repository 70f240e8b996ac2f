//! What listens in an etcd's place and answers what no etcd answers: a call comes to an end, by its length or by the clock.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use etcd_pki::etcd::client::Endpoint;
use etcd_pki::etcd::{Api, Client, EtcdError, Fault};

const V3: Api = Api::V3 { prefix: "/v3" };

/// A client, with two seconds a call, of something that answers each request in a way of its own. It ends with the test.
fn client(answer: fn(&mut TcpStream) -> std::io::Result<()>) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let request = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                request.take_while(|line| !line.is_empty()).for_each(drop);
                // It ends when the client has gone. The request's body is still to be read: closed before, the answer is lost.
                let _ = answer(&mut stream).and_then(|()| stream.shutdown(Shutdown::Write));
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            });
        }
    });
    let endpoint = Endpoint { timeout: Duration::from_secs(2), ..Endpoint::direct(url, None) };
    Client::new(endpoint).with_api(V3)
}

fn ok(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
}

fn drip(stream: &mut TcpStream, byte: &[u8]) -> std::io::Result<()> {
    loop {
        stream.write_all(byte)?;
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn fault<T: std::fmt::Debug>(call: Result<T, EtcdError>) -> Fault {
    call.unwrap_err().fault
}

#[test]
fn an_answer_has_a_length() {
    let endless = client(|stream| {
        ok(stream)?;
        loop {
            stream.write_all(&[b' '; 4096])?;
        }
    });
    assert_eq!(fault(endless.members()), Fault::TooLarge { limit: 16 << 20 });
    assert_eq!(fault(endless.version()), Fault::TooLarge { limit: 16 << 20 });
    assert_eq!(fault(endless.snapshot(&mut std::io::sink(), 1 << 30)), Fault::TooLarge { limit: 16 << 20 });
    let headers = client(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            stream.write_all(b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n")?;
        }
    });
    assert!(fault(headers.members()).is_foreign());
    let one_header = client(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
        loop {
            stream.write_all(b"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")?;
        }
    });
    assert!(fault(one_header.members()).is_foreign());
    let continues = client(|stream| {
        loop {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
    });
    let begun = Instant::now();
    fault(continues.members());
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_snapshot_has_the_length_that_was_reported() {
    let endless = client(|stream| {
        ok(stream)?;
        loop {
            let blob = "A".repeat(40_000);
            stream.write_all(format!("{{\"result\":{{\"blob\":\"{blob}\"}}}}\n").as_bytes())?;
        }
    });
    let mut sink = Vec::new();
    assert_eq!(fault(endless.snapshot(&mut sink, 1 << 20)), Fault::TooLarge { limit: 1 << 20 });
    assert!(sink.len() < 2 << 20, "{} bytes", sink.len());
}

#[test]
fn a_byte_now_and_then_is_no_answer() {
    let body = client(|stream| {
        ok(stream)?;
        drip(stream, b" ")
    });
    let head = client(|stream| drip(stream, b"H"));
    for client in [body, head] {
        let begun = Instant::now();
        let fault = fault(client.members());
        assert!(fault == Fault::Timeout || fault.is_foreign(), "{fault}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    }
}

#[test]
fn what_is_quoted_from_an_answer_is_short_and_plain() {
    let number = client(|stream| {
        ok(stream)?;
        write!(stream, "{{\"header\":{{\"cluster_id\":\"\u{1b}[2J\u{202e}{}\"}}}}", "9".repeat(1 << 20))
    });
    let error = number.members().unwrap_err().to_string();
    assert!(error.len() < 1000 && !error.contains(['\u{1b}', '\u{202e}']), "{} bytes", error.len());
    let nested = client(|stream| {
        ok(stream)?;
        stream.write_all(&[b'['; 1 << 20])
    });
    assert!(fault(nested.members()).is_foreign());
    let message = client(|stream| {
        let text = format!("\u{1b}[2J{}", "no ".repeat(1 << 20));
        write!(stream, "HTTP/1.1 500 No\r\nConnection: close\r\n\r\n{text}")
    });
    let error = message.members().unwrap_err().to_string();
    assert!(error.len() < 1000 && !error.contains('\u{1b}'), "{} bytes", error.len());
    for kilobytes in [5, 5000] {
        let forged = match kilobytes {
            5 => client(|stream| members(stream, 5 << 10)),
            _ => client(|stream| members(stream, 5 << 20)),
        };
        let error = forged.members().unwrap_err();
        assert!(error.to_string().len() < 500 && error.fault.is_foreign(), "{error}");
    }
}

/// A member with a URL of so many bytes.
fn members(stream: &mut TcpStream, bytes: usize) -> std::io::Result<()> {
    ok(stream)?;
    let url = "x".repeat(bytes);
    write!(stream, "{{\"header\":{{}},\"members\":[{{\"ID\":\"1\",\"peerURLs\":[\"http://{url}\"]}}]}}")
}
