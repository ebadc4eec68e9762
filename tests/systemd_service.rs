//! The service under a real systemd, in a machine of its own (tests/lab).
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;
mod lab;

use lab::Lab;

#[test]
fn two_machines_at_once_do_not_see_each_other() {
    let test = "two_machines_at_once_do_not_see_each_other";
    let (Some(one), Some(other)) = (Lab::boot(test), Lab::boot(test)) else { return };
    one.write("/root/mark", "one", 0o600);
    other.ok("systemd-run --wait true && ! test -e /root/mark");
    one.ok("systemd-run --unit alone sleep 600");
    other.ok("! systemctl is-active alone");
    drop(one);
    other.ok("systemd-run --wait true");
}

#[test]
fn the_service_starts_and_stops() {
    let Some(lab) = Lab::with_rotad("the_service_starts_and_stops") else { return };
    assert_eq!(lab.property("ActiveState"), "active");
    lab.arm("hello.yaml", "command: echo\nargs: [hello]\n");
    assert_eq!(lab.ok("rota run hello --wait"), "hello");
    lab.ok("systemctl stop rotad");
    assert_eq!(lab.property("Result"), "success");
}
