//! Which flows of a guest a card allows, and what a denial says.

mod rig;

use std::net::SocketAddr;

use cloister_egress_policy::Protocol;
use cloister_egress_policy::wire::Status;
use rig::{Card, flow, ip, listen};
use serde_json::json;

#[test]
fn both_policies_must_allow_and_a_denial_is_reported_once_with_the_rule_that_would_allow_it() {
    let (listener, address) = listen();
    let port = address.port();
    let mut card = Card::start_with(json!({
        "image": { "allow": [{ "cidr": "127.0.0.1/32", "private": true, "ports": [port, 9] }] },
        "host": { "allow": [{ "cidr": "127.0.0.0/8", "private": true, "ports": [port, 7] }] },
        "resolvers": [],
        "maxFlows": 16,
    }));
    let at = |port| SocketAddr::new(ip("127.0.0.1"), port);
    assert_eq!(card.tcp(at(port)).1, Status::Ok);
    for (denied, status, by) in [
        (7, Status::DeniedByImage, "image"),
        (9, Status::DeniedByHost, "host"),
    ] {
        for _ in 0..3 {
            assert_eq!(card.tcp(at(denied)).1, status);
        }
        let news = card.news();
        assert_eq!(news["event"], "refused");
        let refused = &news["refused"];
        assert_eq!(refused["destination"], format!("127.0.0.1:{denied}/tcp"));
        assert_eq!(refused["by"], by);
        assert_eq!(
            refused["wouldAllow"],
            format!("{{ cidr: '127.0.0.1/32', ports: [{denied}], protocol: tcp, private: true }}")
        );
    }
    let status = card.status();
    assert_eq!(status["refused"], 6);
    assert_eq!(status["refusals"][0]["count"], 3);
    drop(listener);
}

#[test]
fn an_address_in_disguise_is_denied_as_what_it_is() {
    let card = Card::start(json!({ "allow": [
        { "cidr": "0.0.0.0/0", "private": true }, { "cidr": "::/0", "private": true }] }));
    for address in [
        "127.0.0.1:80",
        "[::1]:80",
        "[::ffff:127.0.0.1]:80",
        "[::ffff:169.254.169.254]:80",
        "[64:ff9b::7f00:1]:80",
        "198.18.0.1:80",
        "0.0.0.0:80",
        "[::]:80",
        "224.0.0.1:80",
    ] {
        let (_, status) = card.tcp(address.parse().unwrap());
        assert_eq!(status, Status::DeniedByImage, "{address}");
    }
}

#[test]
fn the_host_s_alias_is_its_loopback() {
    let (listener, address) = listen();
    let card = Card::start(json!({ "allow": [
        { "host": "host.cloister.internal", "ports": [address.port()], "private": true }] }));
    let alias = SocketAddr::new(ip("198.18.0.1"), address.port());
    let named = flow(Protocol::Tcp, alias, Some("host.cloister.internal"));
    assert_eq!(card.request(&named).1, Status::Ok);
    listener.accept().unwrap();
    assert_eq!(card.tcp(alias).1, Status::DeniedByImage);
    assert_eq!(card.tcp(address).1, Status::DeniedByImage);
}
