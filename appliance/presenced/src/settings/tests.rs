//! Good settings are taken; bad ones are refused with their line and what would do.

use super::*;

fn fault(text: &str) -> (usize, String) {
    let (offset, fault) = Settings::parse(text).unwrap_err();
    (line_of(text, offset), fault.to_string())
}

#[test]
fn the_documented_example_is_accepted_without_its_websocket() {
    let settings = Settings::parse(
        r#"
domain   = "Example.Test"
data_dir = "/var/lib/lamplight"
[sip]
listen  = ["udp:127.0.0.1:5060", "tcp:[::1]:0", "tls:127.0.0.1:5061"]
trusted = ["127.0.0.1/32", "2001:db8::/32", "192.0.2.7"]
digest = ["md5"]
max_connections = 10
max_connections_per_peer = 5
[tls]
certificate = "a.pem"
key = "b.pem"
trust = "c.pem"
[http]
listen  = "127.0.0.1:8443"
[control]
socket  = "/run/lamplight/presence.sock"
group = "admin"
[platform]
dmi_dir = "/sys/class/dmi/id"
[log]
level = "debug"
format = "json"
"#,
    )
    .unwrap();
    assert_eq!(settings.domain, "example.test");
    assert_eq!(settings.sip.listen.len(), 3);
    assert_eq!(settings.sip.listen[1].transport, Transport::Tcp);
    assert!(settings.sip.listen[1].address.is_ipv6());
    assert_eq!(settings.sip.trusted[1].prefix, 32);
    assert_eq!(settings.sip.trusted[2].prefix, 32);
    assert_eq!(settings.sip.digest, [Algorithm::Md5]);
    assert_eq!(settings.log.level, tracing::Level::DEBUG);
    assert!(settings.written.contains("sip.max_connections"));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_valid_one() {
    assert_eq!(
        fault("domain = \"a.test\"\n[sip]\nlistn = []\n"),
        (3, "unknown key 'listn' in [sip]; the nearest valid key is 'listen'".to_owned())
    );
    assert_eq!(
        fault("domian = \"a.test\"\n"),
        (1, "unknown key 'domian' at top level; the nearest valid key is 'domain'".to_owned())
    );
    assert_eq!(fault("domain = \"a.test\"\n\n[htttp]\n").0, 3);
}

#[test]
fn a_bad_value_says_what_would_do() {
    let (line, words) = fault(
        "domain = \"a.test\"\n[sip]\nlisten = [\n  \"udp:127.0.0.1:5060\",\n  \"udp:x\",\n]\n",
    );
    assert_eq!(line, 5);
    assert!(words.starts_with("'sip.listen' is \"udp:x\", but must be a transport"), "{words}");
    assert_eq!(fault("domain = \"a..test\"\n").0, 1);
    assert!(
        fault("domain = \"a.test\"\nsip = { trusted = [\"10.0.0.0/33\"] }")
            .1
            .contains("10.0.0.0/33")
    );
    assert!(fault("domain = 5\n").1.starts_with("'domain': "));
    let (line, words) = fault("domain = \"a.test\"\n[sip]\nlisten = [\"udp:[::]:1\",\n17]\n");
    assert!(line == 4 && words.starts_with("'sip.listen': "), "{line}: {words}");
    assert!(fault("domain = \"a.test\"\n[tls]\nkey = \"x\"\n").1.contains("tls.certificate"));
    assert_eq!(fault("[sip]\n").1, "'domain' is missing");
}

#[test]
fn edit_distance_counts_single_letter_changes() {
    assert_eq!(edit_distance("listen", "listen"), 0);
    assert_eq!(edit_distance("listen", "listn"), 1);
    assert_eq!(edit_distance("", "abc"), 3);
    assert_eq!(edit_distance("socket", "sokcet"), 2);
}
