//! Machines recognised in the guest, as their firmware names them: each is started until its
//! console says what was found.

use lamplight_tests::machine::{Hardware, Machine, START_WITHIN};

/// A machine, and what its console must say of it.
struct Kind {
    vendor: &'static str,
    product: &'static str,
    processors: (u32, u32),
    memory_mib: u32,
    profile: &'static str,
    /// The class, or nothing when it is too small to serve.
    class: Option<&'static str>,
    users: u32,
}

const fn kind(
    names: (&'static str, &'static str),
    processors: (u32, u32),
    memory_mib: u32,
    profile: &'static str,
    class: &'static str,
    users: u32,
) -> Kind {
    let (vendor, product) = names;
    Kind { vendor, product, processors, memory_mib, profile, class: Some(class), users }
}

const KINDS: [Kind; 10] = [
    kind(("HP", "ProLiant DL320 G5"), (1, 1), 2_300, "mcs-7816-h3", "7816", 500),
    kind(("IBM", "IBM eServer x3250 -[4365PAU]-"), (1, 1), 2_300, "mcs-7816-i3", "7816", 500),
    kind(("HP", "ProLiant DL320 G5"), (2, 1), 2_300, "mcs-7825-h3", "7825", 1_000),
    kind(("IBM", "IBM System x3250 M2 -[4194PAQ]-"), (2, 1), 4_600, "mcs-7825-i4", "7825", 1_000),
    kind(("HP", "ProLiant DL380 G5"), (2, 1), 2_300, "mcs-7835-h2", "7835", 2_500),
    kind(("IBM", "IBM System x3650 -[7979B3U]-"), (2, 1), 4_600, "mcs-7835-i2", "7835", 2_500),
    kind(("IBM", "IBM System x3650 -[7979B3U]-"), (4, 2), 4_600, "mcs-7845-i2", "7845", 5_000),
    kind(("CISCO", "MCS-7835-H2"), (2, 1), 4_600, "mcs-7835-h2", "7835", 2_500),
    kind(("Dell Inc.", "PowerEdge R610"), (2, 1), 4_600, "generic", "7845", 5_000),
    Kind {
        vendor: "QEMU",
        product: "Standard PC",
        processors: (1, 1),
        memory_mib: 1_100,
        profile: "generic",
        class: None,
        users: 0,
    },
];

#[test]
fn every_kind_of_machine_is_recognised() {
    let failures: Vec<String> = KINDS.chunks(2).flat_map(together).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Two at a time, as each is one processor's work.
fn together(pair: &[Kind]) -> Vec<String> {
    std::thread::scope(|scope| {
        let running: Vec<_> = pair.iter().map(|kind| scope.spawn(|| look(kind))).collect();
        running.into_iter().filter_map(|one| one.join().expect("a machine")).collect()
    })
}

/// What is wrong with what it says of itself.
fn look(kind: &Kind) -> Option<String> {
    let hardware = Hardware {
        processors: kind.processors,
        memory_mib: kind.memory_mib,
        smbios: vec![
            format!("type=0,vendor={}", kind.vendor),
            format!("type=1,manufacturer={},product={}", kind.vendor, kind.product),
        ],
        ..Hardware::default()
    };
    let machine = Machine::start(hardware, None);
    // The first question stands below all that is said.
    let said = machine.serial.expect("Host name [", START_WITHIN);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let verdict = match kind.class {
        Some(class) => format!("it serves {} users (class {class})", kind.users),
        None => "too small: SIP is not served".to_owned(),
    };
    let is_right = said.contains(&format!("profile {}", kind.profile)) && said.contains(&verdict);
    (!is_right).then(|| format!("{} {}: {said}", kind.vendor, kind.product))
}
