use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use super::*;

fn v4(address: SocketAddr) -> SocketAddrV4 {
    match address {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(other) => SocketAddrV4::new(other.ip().to_ipv4_mapped().unwrap(), other.port()),
    }
}

/// Both ways to ask.
fn both() -> [Owners; 2] {
    let netlink = Owners::open();
    assert!(netlink.netlink.is_some(), "no sock_diag here: the test proves less than it says");
    [netlink, Owners { netlink: None, sequence: 0 }]
}

/// An accepted connection, and from where.
type Accepted = (TcpStream, SocketAddr);

fn of(owners: &mut Owners, (server, from): &Accepted) -> Option<u32> {
    owners.of(server, v4(server.local_addr().unwrap()), v4(*from))
}

fn pair() -> (TcpStream, Accepted) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap())
}

#[test]
fn g96_the_kernel_says_who_has_connected() {
    let me = nix::unistd::geteuid().as_raw();
    for mut owners in both() {
        let (client, server) = pair();
        assert_eq!(of(&mut owners, &server), Some(me));
        // Who only listens now is still there.
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(of(&mut owners, &server), Some(me));
    }
}

#[test]
fn g96_an_ipv6_socket_that_speaks_ipv4_has_an_owner_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port));
    let Ok(_client) = TcpStream::connect(mapped) else {
        println!("g96_an_ipv6_socket skipped: why: no IPv6 here");
        return;
    };
    let server = listener.accept().unwrap();
    for mut owners in both() {
        assert_eq!(of(&mut owners, &server), Some(nix::unistd::geteuid().as_raw()));
    }
}

#[test]
fn g96_who_has_closed_is_nobody_and_not_root() {
    for mut owners in both() {
        let (mut client, server) = pair();
        client.write_all(b"POST /quit HTTP/1.0\r\n\r\n").unwrap();
        drop(client);
        // FIN_WAIT2 by now, without a process: the tables say uid 0.
        assert_eq!(of(&mut owners, &server), None, "closed in order");

        let (mut client, server) = pair();
        client.write_all(b"POST /quit HTTP/1.0\r\n\r\n").unwrap();
        setsockopt(&client, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
        drop(client);
        assert_eq!(of(&mut owners, &server), None, "reset");
    }
}

/// The peer resets its connection, and somebody else connects from the same port: the old connection is not theirs.
#[tokio::test(flavor = "current_thread")]
async fn g96_a_port_that_was_given_to_another_does_not_lend_its_owner_to_the_connection_before() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = v4(listener.local_addr().unwrap());
    for mut owners in both() {
        let mut first = TcpStream::connect(place).unwrap();
        let port = v4(first.local_addr().unwrap());
        let (server, _) = listener.accept().unwrap();
        first.write_all(b"POST /quit HTTP/1.0\r\n\r\n").unwrap();
        setsockopt(&first, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
        drop(first);
        let deadline = Instant::now() + Duration::from_secs(10);
        let again = loop {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            if socket.bind(port.into()).is_ok() {
                break socket;
            }
            assert!(Instant::now() < deadline, "the port is free again");
            std::thread::yield_now();
        };
        let _again = again.connect(place.into()).await.unwrap();
        let second = listener.accept().unwrap();
        assert_eq!(v4(second.1), port, "the same addresses");
        assert!(of(&mut owners, &second).is_some());
        assert_eq!(owners.of(&server, place, port), None, "the first connection is nobody's");
    }
}

#[test]
fn g96_rows_that_have_no_owner() {
    let [here, there] = ["127.0.0.1:9999", "127.0.0.1:40000"].map(|text| text.parse().unwrap());
    let good = Row { local: there, remote: here, state: 1, uid: 1000, inode: 77 };
    assert_eq!(good.owner(here, there), Some(1000));
    for (what, row) in [
        ("TIME_WAIT", Row { state: 6, uid: 0, inode: 0, ..good.clone() }),
        ("an orphan", Row { state: 5, uid: 0, inode: 0, ..good.clone() }),
        ("a listener", Row { state: 10, ..good.clone() }),
        ("half open", Row { state: 3, ..good.clone() }),
        ("our own end", Row { local: here, remote: there, ..good.clone() }),
    ] {
        assert_eq!(row.owner(here, there), None, "{what}");
    }
}

#[test]
fn lines_of_the_tables() {
    let line = "   1: 0100007F:9C40 0100007F:270F 01 00000000:00000000 00:00000000 00000000  1000        0 77 1 0 20";
    let expected = Row {
        local: "127.0.0.1:40000".parse().unwrap(),
        remote: "127.0.0.1:9999".parse().unwrap(),
        state: 1,
        uid: 1000,
        inode: 77,
    };
    if cfg!(target_endian = "little") {
        assert_eq!(row(line), Some(expected.clone()));
        let mapped = line.replace("0100007F", "0000000000000000FFFF00000100007F");
        assert_eq!(row(&mapped), Some(expected));
    }
    assert_eq!(row("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid"), None);
    assert_eq!(row("0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A"), None);
}
