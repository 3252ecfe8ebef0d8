//! RFC 3263 with made-up zones: which records are asked for, in which order hops come out.

use super::*;

fn target(text: &str) -> Target {
    Target::from_uri(&uri::parse(text).unwrap()).unwrap()
}

fn naptr(order: u16, preference: u16, service: &str, replacement: &str) -> NaptrRecord {
    NaptrRecord {
        order,
        preference,
        flags: "s".to_owned(),
        service: service.to_owned(),
        replacement: replacement.to_owned(),
    }
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> SrvRecord {
    SrvRecord { priority, weight, port, target: target.to_owned() }
}

/// A zone of the DNS, and the questions that it was asked.
#[derive(Default)]
struct Zone {
    naptr: Vec<(&'static str, Vec<NaptrRecord>)>,
    srv: Vec<(&'static str, Vec<SrvRecord>)>,
    addresses: Vec<(&'static str, Vec<&'static str>)>,
    asked: Vec<Question>,
}

impl Zone {
    fn locate(&mut self, text: &str, random: u64) -> Vec<String> {
        let mut locator = Locator::new(target(text), random);
        while let Some(question) = locator.question() {
            assert!(self.asked.len() < 100);
            self.asked.push(question.clone());
            locator.answer(match question {
                Question::Naptr(name) => Answer::Naptr(find(&self.naptr, &name)),
                Question::Srv(name) => Answer::Srv(find(&self.srv, &name)),
                Question::Addresses(name) => Answer::Addresses(
                    find(&self.addresses, &name).iter().map(|a| a.parse().unwrap()).collect(),
                ),
            });
        }
        let hops = locator.into_hops();
        hops.iter().map(|h| format!("{} {}", h.transport.uri_token(), h.address)).collect()
    }
}

fn find<T: Clone>(all: &[(&'static str, Vec<T>)], name: &str) -> Vec<T> {
    all.iter().find(|(n, _)| *n == name).map(|(_, found)| found.clone()).unwrap_or_default()
}

#[test]
fn addresses_need_no_question() {
    for (text, hop) in [
        ("sip:192.0.2.1", "udp 192.0.2.1:5060"),
        ("sip:a@192.0.2.1:5070;transport=tcp", "tcp 192.0.2.1:5070"),
        ("sips:192.0.2.1", "tls 192.0.2.1:5061"),
        ("sips:192.0.2.1;transport=tcp", "tls 192.0.2.1:5061"),
        ("sips:192.0.2.1;transport=ws", "wss 192.0.2.1:443"),
        ("sip:[2001:db8::1];transport=tls", "tls [2001:db8::1]:5061"),
        ("sip:a@example.test:5080;maddr=192.0.2.9", "udp 192.0.2.9:5080"),
    ] {
        let mut zone = Zone::default();
        assert_eq!(zone.locate(text, 1), [hop], "{text}");
        assert_eq!(zone.asked, []);
    }
}

#[test]
fn what_cannot_be_located_is_refused() {
    let refused = |text: &str| Target::from_uri(&uri::parse(text).unwrap()).unwrap_err();
    assert_eq!(refused("tel:+15550100"), TargetError::Scheme);
    assert_eq!(refused("sip:a@b.test;transport=sctp"), TargetError::Transport);
    assert_eq!(refused("sips:a@b.test;transport=udp"), TargetError::Transport);
}

/// The example of RFC 3263 §4.1 and §4.2.
#[test]
fn s4_1_naptr_leads_to_srv() {
    let mut zone = Zone {
        naptr: vec![(
            "example.test",
            vec![
                naptr(90, 50, "SIP+D2T", "_sip._tcp.example.test."),
                naptr(100, 50, "SIP+D2U", "_sip._udp.example.test."),
                naptr(50, 50, "SIPS+D2T", "_sips._tcp.example.test."),
                naptr(10, 50, "SIP+D2S", "_sip._sctp.example.test."),
                NaptrRecord { flags: "u".into(), ..naptr(1, 1, "SIP+D2U", "x.test") },
            ],
        )],
        srv: vec![
            (
                "_sip._tcp.example.test",
                vec![srv(1, 2, 5060, "server2.test."), srv(0, 1, 5060, "server1.test.")],
            ),
            ("_sips._tcp.example.test", vec![srv(0, 0, 5061, "server1.test")]),
        ],
        addresses: vec![
            ("server1.test", vec!["192.0.2.1", "2001:db8::1"]),
            ("server2.test", vec!["192.0.2.2"]),
        ],
        ..Zone::default()
    };
    assert_eq!(
        zone.locate("sip:a@example.test", 7),
        [
            "tls 192.0.2.1:5061",
            "tls [2001:db8::1]:5061",
            "tcp 192.0.2.1:5060",
            "tcp [2001:db8::1]:5060",
            "tcp 192.0.2.2:5060"
        ]
    );
    assert_eq!(
        zone.locate("sips:a@example.test", 7),
        ["tls 192.0.2.1:5061", "tls [2001:db8::1]:5061"],
        "sips goes over TLS only"
    );
}

#[test]
fn s4_1_a_transport_skips_naptr() {
    let mut zone = Zone {
        srv: vec![("_sip._tcp.example.test", vec![srv(0, 0, 5080, "s.test")])],
        addresses: vec![("s.test", vec!["192.0.2.1"])],
        ..Zone::default()
    };
    assert_eq!(zone.locate("sip:example.test;transport=tcp", 0), ["tcp 192.0.2.1:5080"]);
    assert_eq!(
        zone.asked,
        [Question::Srv("_sip._tcp.example.test".into()), Question::Addresses("s.test".into())]
    );
}

#[test]
fn s4_1_without_naptr_every_transport_is_tried() {
    let mut zone = Zone {
        srv: vec![
            ("_sip._udp.example.test", vec![srv(0, 0, 5060, ".")]),
            ("_sips._tcp.example.test", vec![srv(0, 0, 5061, "s.test")]),
        ],
        addresses: vec![("s.test", vec!["192.0.2.1"])],
        ..Zone::default()
    };
    assert_eq!(zone.locate("sip:example.test.", 0), ["tls 192.0.2.1:5061"]);
    assert_eq!(zone.asked.first(), Some(&Question::Naptr("example.test".into())));
    zone.srv.clear();
    zone.asked.clear();
    assert_eq!(zone.locate("sips:example.test", 0), Vec::<String>::new());
    assert_eq!(
        zone.asked,
        [
            Question::Naptr("example.test".into()),
            Question::Srv("_sips._tcp.example.test".into()),
            Question::Addresses("example.test".into())
        ]
    );
}

#[test]
fn s4_2_without_srv_the_name_itself_is_taken() {
    let mut zone = Zone { addresses: vec![("example.test", vec!["192.0.2.5"])], ..Zone::default() };
    assert_eq!(zone.locate("sip:example.test", 0), ["udp 192.0.2.5:5060"]);
    assert_eq!(zone.locate("sips:example.test", 0), ["tls 192.0.2.5:5061"]);
    assert_eq!(zone.locate("sip:example.test;transport=tcp", 0), ["tcp 192.0.2.5:5060"]);
    assert_eq!(zone.locate("sip:example.test;transport=ws", 0), ["ws 192.0.2.5:80"]);
}

#[test]
fn s4_2_a_port_skips_srv() {
    let mut zone = Zone { addresses: vec![("example.test", vec!["192.0.2.5"])], ..Zone::default() };
    assert_eq!(zone.locate("sip:example.test:5099", 0), ["udp 192.0.2.5:5099"]);
    assert_eq!(zone.locate("sips:example.test:5099", 0), ["tls 192.0.2.5:5099"]);
    assert_eq!(zone.asked.len(), 2);
}

#[test]
fn rfc2782_weights_share_the_load() {
    let records = || {
        vec![srv(10, 60, 1, "a"), srv(10, 30, 2, "b"), srv(10, 10, 3, "c"), srv(5, 0, 4, "first")]
    };
    let mut firsts = [0_u32; 3];
    for seed in 0..10_000 {
        let mut random = seed;
        let ordered = order_servers(records(), &mut random);
        assert_eq!(ordered.len(), 4);
        assert_eq!(ordered[0].port, 4);
        firsts[usize::from(ordered[1].port) - 1] += 1;
    }
    for (count, share) in firsts.into_iter().zip([6000, 3000, 1000_u32]) {
        assert!(count.abs_diff(share) < 300, "{firsts:?}");
    }
}

#[test]
fn a_large_or_looping_zone_stays_bounded() {
    let names: Vec<SrvRecord> = (0..500).map(|port| srv(0, 1, port, "s.test")).collect();
    let mut zone = Zone {
        srv: vec![("_sip._udp.example.test", names)],
        addresses: vec![("s.test", vec!["192.0.2.1", "192.0.2.2", "192.0.2.3"])],
        ..Zone::default()
    };
    assert!(zone.locate("sip:example.test;transport=udp", 3).len() <= MOST_HOPS);
    assert!(zone.asked.len() <= MOST_SERVERS + 1);
}

#[test]
fn answers_that_do_not_fit_count_as_empty() {
    let mut locator = Locator::new(target("sip:example.test"), 0);
    let mut asked = 0;
    while locator.question().is_some() {
        locator.answer(Answer::Srv(Vec::new()));
        asked += 1;
        assert!(asked < 10);
    }
    assert_eq!(locator.into_hops(), []);
}
