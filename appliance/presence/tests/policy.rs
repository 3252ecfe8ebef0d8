//! Presence authorization (RFC 4745, RFC 5025): every case that another server got wrong,
//! the combining of rules, and what views leave of a document.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use presence::document::guard::Limits;
use presence::policy::{Circumstances, Handling, Ruleset, view};
use sip::aor::Aor;
use sip::clock::WallTime;

const BOB: &str = "sip:bob@example.com";
const ALLOW: &str = "<actions><pr:sub-handling>allow</pr:sub-handling></actions>";
const NOON: u64 = 1_700_000_000_000;

fn rules(body: &str) -> Ruleset {
    let document = format!(
        "<?xml version='1.0'?><ruleset xmlns='urn:ietf:params:xml:ns:common-policy' \
         xmlns:pr='urn:ietf:params:xml:ns:pres-rules' \
         xmlns:ocp='urn:oma:xml:xdm:common-policy' xmlns:new='urn:example:new'>{body}</ruleset>"
    );
    Ruleset::parse(document.as_bytes(), &Limits::default()).unwrap()
}

fn rule(conditions: &str, rest: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let id = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("<rule id='r{id}'>{conditions}{rest}</rule>")
}

fn one(conditions: &str) -> Ruleset {
    rules(&rule(&format!("<conditions>{conditions}</conditions>"), ALLOW))
}

fn aor(uri: &str) -> Aor {
    Aor::from_uri(&sip::uri::parse(uri).unwrap()).unwrap()
}

fn decide_in(rules: &Ruleset, watcher: &str, sphere: Option<&str>, now: u64) -> Handling {
    let watcher = aor(watcher);
    let now = Circumstances {
        watcher: Some(&watcher),
        now: WallTime::from_millis(now),
        sphere,
        is_listed: &|list, watcher| list.ends_with("/friends") && watcher.user() == "bob",
    };
    rules.decide(&now).handling
}

fn decide(rules: &Ruleset, watcher: &str) -> Handling {
    decide_in(rules, watcher, None, NOON)
}

fn grants(rules: &Ruleset, watcher: &str) -> presence::policy::Permissions {
    let watcher = aor(watcher);
    let now = Circumstances {
        watcher: Some(&watcher),
        now: WallTime::from_millis(NOON),
        sphere: None,
        is_listed: &|_, _| false,
    };
    rules.decide(&now).permissions
}

#[test]
fn r08_a_all_rules_that_match_are_combined() {
    let block = "<actions><pr:sub-handling>block</pr:sub-handling></actions>\
                 <transformations><pr:provide-activities>true</pr:provide-activities>\
                 <pr:provide-services><pr:class>biz</pr:class></pr:provide-services></transformations>";
    let allow = format!(
        "{ALLOW}<transformations><pr:provide-mood>true</pr:provide-mood>\
         <pr:provide-services><pr:class>home</pr:class></pr:provide-services></transformations>"
    );
    let bob = format!("<conditions><identity><one id='{BOB}'/></identity></conditions>");
    for order in [[block, &allow], [&allow, block]] {
        let both = rules(&order.map(|rest| rule(&bob, rest)).concat());
        assert_eq!(decide(&both, BOB), Handling::Allow);
        let granted = grants(&both, BOB);
        assert_eq!(granted.services.members.len(), 2, "sets are united");
        use presence::policy::permissions::Attribute;
        assert!(granted.grants(Attribute::Activities) && granted.grants(Attribute::Mood));
        assert!(!granted.grants(Attribute::Note));
    }
}

#[test]
fn r08_b_a_domain_of_the_same_length_is_another_domain() {
    let domain = one("<identity><many domain='example.com'/></identity>");
    assert_eq!(decide(&domain, BOB), Handling::Allow);
    assert_eq!(decide(&domain, "sip:bob@exemple.com"), Handling::Block);
    assert_eq!(decide(&domain, "sip:bob@sub.example.com"), Handling::Block);
}

#[test]
fn r08_c_an_exception_excludes_exactly_who_it_names() {
    let except = one("<identity><many><except id='sip:bob@example.com'/></many></identity>");
    assert_eq!(decide(&except, BOB), Handling::Block);
    assert_eq!(decide(&except, "sip:bobb@example.com"), Handling::Allow);
    let within = one("<identity><many domain='example.com'><except id='sip:bob@example.com'/>\
                      </many></identity>");
    assert_eq!(decide(&within, BOB), Handling::Block);
    assert_eq!(decide(&within, "sip:eve@example.com"), Handling::Allow);
    let domains = one("<identity><many><except domain='example.com'/></many></identity>");
    assert_eq!(decide(&domains, BOB), Handling::Block);
    assert_eq!(decide(&domains, "sip:bob@example.org"), Handling::Allow);
}

#[test]
fn r08_d_a_rule_without_identity_applies_to_everybody() {
    let sphere = one("<sphere value='work'/>");
    assert_eq!(decide_in(&sphere, BOB, Some("work"), NOON), Handling::Allow);
}

#[test]
fn r08_e_and_k_absent_or_empty_conditions_always_hold() {
    assert_eq!(decide(&rules(&rule("", ALLOW)), BOB), Handling::Allow);
    assert_eq!(decide(&rules(&rule("<conditions/>", ALLOW)), BOB), Handling::Allow);
}

#[test]
fn r08_f_and_j_a_sphere_is_read_from_its_value_and_must_be_the_present_one() {
    let sphere = one("<sphere value='home work'/>");
    assert_eq!(decide_in(&sphere, BOB, Some("Work"), NOON), Handling::Allow);
    assert_eq!(decide_in(&sphere, BOB, Some("travel"), NOON), Handling::Block);
    assert_eq!(decide_in(&sphere, BOB, None, NOON), Handling::Block, "unknown is no match");
}

#[test]
fn r08_g_nothing_is_shown_that_is_not_granted() {
    let bare = rules(&rule("", ALLOW));
    let shown = view::filter(RICH.as_bytes(), &grants(&bare, BOB)).unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert!(!shown.contains("tuple") && !shown.contains("person") && !shown.contains("device"));
    assert!(!shown.contains("note"), "{shown}");
}

#[test]
fn r08_h_and_m_hosts_are_compared_without_case_and_users_with() {
    let bob = one("<identity><one id='sip:bob@EXAMPLE.com'/></identity>");
    assert_eq!(decide(&bob, BOB), Handling::Allow);
    assert_eq!(decide(&bob, "sip:Bob@example.com"), Handling::Block);
    let escaped = one("<identity><one id='sip:%62ob@example.com'/></identity>");
    assert_eq!(decide(&escaped, BOB), Handling::Allow);
    let domain = one("<identity><many domain='Example.COM'/></identity>");
    assert_eq!(decide(&domain, BOB), Handling::Allow);
    let telephone = one("<identity><one id='tel:+15550100'/></identity>");
    assert_eq!(decide(&telephone, "sip:+15550100@example.com"), Handling::Block);
}

#[test]
fn r08_i_a_span_of_one_rule_says_nothing_about_another() {
    let over =
        "<validity><from>2001-01-01T00:00:00Z</from><until>2002-01-01T00:00:00Z</until></validity>";
    let both = rules(&format!(
        "{}{}",
        rule(
            &format!("<conditions>{over}</conditions>"),
            "<actions><pr:sub-handling>polite-block</pr:sub-handling></actions>"
        ),
        rule("<conditions/>", "<actions><pr:sub-handling>confirm</pr:sub-handling></actions>"),
    ));
    assert_eq!(decide(&both, BOB), Handling::Confirm);
}

#[test]
fn r08_l_a_rule_without_handling_still_grants() {
    let both = rules(&format!(
        "{}{}",
        rule("", ALLOW),
        rule("", "<transformations><pr:provide-note>true</pr:provide-note></transformations>"),
    ));
    assert_eq!(decide(&both, BOB), Handling::Allow);
    assert!(grants(&both, BOB).grants(presence::policy::permissions::Attribute::Note));
}

#[test]
fn an_unknown_condition_never_holds() {
    let bob = "<identity><one id='sip:bob@example.com'/></identity>";
    assert_eq!(decide(&one(&format!("{bob}<new:moon/>")), BOB), Handling::Block);
    assert_eq!(decide(&one("<identity><new:who/></identity>"), BOB), Handling::Block);
    assert_eq!(decide(&one("<identity/>"), BOB), Handling::Block);
}

#[test]
fn spans_of_time_begin_and_end_when_they_say() {
    let spans = one(
        "<validity><from>2023-11-14T22:13:20Z</from><until>2023-11-14T23:13:20+00:00</until>\
                     <from>2024-01-01T00:00:00Z</from><until>2024-01-02T00:00:00Z</until></validity>",
    );
    let hour = 3_600_000;
    for (now, expected) in [
        (NOON - 1, Handling::Block),
        (NOON, Handling::Allow),
        (NOON + hour - 1, Handling::Allow),
        (NOON + hour, Handling::Block),
        (1_704_067_200_000, Handling::Allow),
    ] {
        assert_eq!(decide_in(&spans, BOB, None, now), expected, "{now}");
    }
    let next = spans.next_change(WallTime::from_millis(NOON)).unwrap();
    assert_eq!(next.as_millis(), NOON + hour);
}

#[test]
fn omas_conditions_are_known() {
    let listed = |handling: &str, conditions: &str| {
        rule(
            &format!("<conditions>{conditions}</conditions>"),
            &format!("<actions><pr:sub-handling>{handling}</pr:sub-handling></actions>"),
        )
    };
    let friends = "<ocp:external-list><ocp:entry anc='http://x/xcap/resource-lists/users/a/index/~~/friends'/></ocp:external-list>";
    let all = rules(&format!(
        "{}{}{}",
        listed("allow", friends),
        listed("confirm", "<ocp:other-identity/>"),
        listed("polite-block", "<ocp:anonymous-request/>"),
    ));
    assert_eq!(decide(&all, BOB), Handling::Allow);
    assert_eq!(decide(&all, "sip:eve@example.com"), Handling::Confirm);
    let anonymous = Circumstances {
        watcher: None,
        now: WallTime::from_millis(NOON),
        sphere: None,
        is_listed: &|_, _| false,
    };
    assert_eq!(all.decide(&anonymous).handling, Handling::PoliteBlock);
    assert!(all.depends_on_lists() && !all.depends_on_sphere());
}

#[test]
fn what_is_wrong_is_refused_whole() {
    for body in [
        "<rule/>",
        "<rule id='a'/><rule id='a'/>",
        "<rule id='a'><conditions><identity><one/></identity></conditions></rule>",
        "<rule id='a'><conditions><sphere>work</sphere></conditions></rule>",
        "<rule id='a'><conditions><validity><from>soon</from></validity></conditions></rule>",
        "<rule id='a'><actions><pr:sub-handling>maybe</pr:sub-handling></actions></rule>",
        "<rule id='a'><transformations><pr:provide-note>perhaps</pr:provide-note></transformations></rule>",
        "<group/>",
    ] {
        let document = format!(
            "<ruleset xmlns='urn:ietf:params:xml:ns:common-policy' \
             xmlns:pr='urn:ietf:params:xml:ns:pres-rules'>{body}</ruleset>"
        );
        assert!(Ruleset::parse(document.as_bytes(), &Limits::default()).is_err(), "{body}");
    }
}

const RICH: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" \
    xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" xmlns:x=\"urn:x\" entity=\"sip:a@example.com\">\
    <tuple id=\"t1\"><status><basic>open</basic><x:extra/></status><x:game>chess</x:game>\
    <rpid:class>biz</rpid:class><dm:deviceID>urn:uuid:1</dm:deviceID>\
    <rpid:user-input idle-threshold=\"600\" last-input=\"2026-01-01T00:00:00Z\">idle</rpid:user-input>\
    <contact>sip:a@pc.example.com</contact><note>private</note>\
    <timestamp>2026-01-01T00:00:00Z</timestamp></tuple>\
    <tuple id=\"t2\"><status/><contact>mailto:a@example.com</contact></tuple>\
    <note>about</note>\
    <dm:device id=\"d1\"><rpid:class>biz</rpid:class><dm:deviceID>urn:uuid:1</dm:deviceID></dm:device>\
    <dm:person id=\"p1\"><rpid:activities><rpid:busy/><rpid:note>on it</rpid:note></rpid:activities>\
    <rpid:mood><rpid:happy/></rpid:mood><dm:note>hello</dm:note></dm:person>\
    <x:more/></presence>";

fn shown(transformations: &str) -> String {
    let granting =
        rules(&rule("", &format!("{ALLOW}<transformations>{transformations}</transformations>")));
    String::from_utf8(view::filter(RICH.as_bytes(), &grants(&granting, BOB)).unwrap()).unwrap()
}

#[test]
fn a_view_has_what_is_granted_and_what_is_always_shown() {
    let by_scheme = shown(
        "<pr:provide-services><pr:service-uri-scheme>sip</pr:service-uri-scheme></pr:provide-services>",
    );
    let inside = by_scheme.split_once("example.com\">").unwrap().1;
    assert_eq!(
        inside,
        "<tuple id=\"t1\"><status><basic>open</basic></status><contact>sip:a@pc.example.com</contact>\
         <timestamp>2026-01-01T00:00:00Z</timestamp></tuple></presence>"
    );
    let person = shown(
        "<pr:provide-persons><pr:all-persons/></pr:provide-persons>\
         <pr:provide-activities>true</pr:provide-activities>",
    );
    assert!(
        person.ends_with(
            "<dm:person id=\"p1\"><rpid:activities><rpid:busy/><rpid:note>on it</rpid:note>\
             </rpid:activities></dm:person></presence>"
        ),
        "{person}"
    );
    let device = shown("<pr:provide-devices><pr:class>biz</pr:class></pr:provide-devices>");
    assert!(
        device.ends_with(
            "<dm:device id=\"d1\"><dm:deviceID>urn:uuid:1</dm:deviceID></dm:device></presence>"
        ),
        "{device}"
    );
}

#[test]
fn user_input_is_shown_as_far_as_granted() {
    let services =
        "<pr:provide-services><pr:occurrence-id>t1</pr:occurrence-id></pr:provide-services>";
    for (detail, expected) in [
        ("false", None),
        ("bare", Some("<rpid:user-input>idle</rpid:user-input>")),
        ("thresholds", Some("<rpid:user-input idle-threshold=\"600\">idle</rpid:user-input>")),
        ("full", Some("last-input=\"2026-01-01T00:00:00Z\">idle</rpid:user-input>")),
    ] {
        let text =
            shown(&format!("{services}<pr:provide-user-input>{detail}</pr:provide-user-input>"));
        match expected {
            Some(expected) => assert!(text.contains(expected), "{detail}: {text}"),
            None => assert!(!text.contains("user-input"), "{text}"),
        }
    }
}

#[test]
fn unknown_attributes_are_shown_by_name_or_all() {
    let services = "<pr:provide-services><pr:all-services/></pr:provide-services>";
    let by_name = shown(&format!(
        "{services}<pr:provide-unknown-attribute name='game' ns='urn:x'>true</pr:provide-unknown-attribute>"
    ));
    assert!(by_name.contains("<x:game>chess</x:game>") && !by_name.contains("x:extra"));
    assert!(!by_name.contains("x:more"), "{by_name}");
    let all = shown(
        "<pr:provide-services><pr:all-services/></pr:provide-services>\
         <pr:provide-persons><pr:all-persons/></pr:provide-persons>\
         <pr:provide-devices><pr:all-devices/></pr:provide-devices><pr:provide-all-attributes/>",
    );
    assert_eq!(all, RICH);
}
