//! XCAP (RFC 4825): selecting, putting and deleting parts of documents, by the RFC's own examples.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use presence::document::guard::Limits;
use presence::xcap::edit::{self, Part};
use presence::xcap::schema;
use presence::xcap::selector::{InvalidSelector, Selector};
use presence::xcap::{Conflict, Usage};

fn selector(path: &str) -> Selector {
    Selector::parse(path, None, "").unwrap()
}

fn put(source: &str, path: &str, body: &str) -> Result<edit::Edited, Conflict> {
    edit::put(source, &selector(path), body.as_bytes(), &Limits::default())
}

const ROOT: &str = "<?xml version=\"1.0\"?>\n<root>\n <el1 att=\"first\"/>\n <el1 att=\"second\"/>\n \
                    <!-- comment -->\n <el2 att=\"first\"/>\n</root>";

#[test]
fn s8_2_3_a_new_element_stays_with_its_like() {
    let expected = "<?xml version=\"1.0\"?>\n<root>\n <el1 att=\"first\"/>\n <el1 att=\"second\"/>\
                    <el1 att=\"third\"/>\n <!-- comment -->\n <el2 att=\"first\"/>\n</root>";
    for path in [
        "root/el1%5b@att=%22third%22%5d",
        "root/el1%5B3%5D%5B@att=%22third%22%5D",
        "root/*[3][@att='third']",
    ] {
        let edited = put(ROOT, path, "<el1 att=\"third\"/>").unwrap();
        assert_eq!((edited.text.as_str(), edited.is_new), (expected, true), "{path}");
    }
}

#[test]
fn s8_2_3_the_first_of_its_name_goes_to_the_end() {
    let edited = put(ROOT, "root/el3", "<el3 att=\"first\"/>").unwrap();
    assert!(edited.text.ends_with("\n <el2 att=\"first\"/>\n<el3 att=\"first\"/></root>"));
    assert!(edited.is_new);
}

#[test]
fn s8_2_3_positions_are_kept() {
    let behind = put(ROOT, "root/el2[@att=\"2\"]", "<el2 att=\"2\"/>").unwrap().text;
    assert!(behind.ends_with("<el2 att=\"first\"/><el2 att=\"2\"/>\n</root>"), "{behind}");
    let before = put(ROOT, "root/el2[1][@att=\"2\"]", "<el2 att=\"2\"/>").unwrap().text;
    assert!(before.ends_with("<el2 att=\"2\"/><el2 att=\"first\"/>\n</root>"), "{before}");
    let first = put(ROOT, "root/*[1][@att=\"2\"]", "<el2 att=\"2\"/>").unwrap().text;
    assert!(first.contains("<root>\n <el2 att=\"2\"/><el1 att=\"first\"/>"), "{first}");
    assert_eq!(put(ROOT, "root/el2[3]", "<el2/>"), Err(Conflict::CannotInsert));
}

#[test]
fn s8_2_3_what_is_put_must_be_what_is_selected() {
    assert_eq!(put(ROOT, "root/el2[@att=\"9\"]", "<el2 att=\"8\"/>"), Err(Conflict::CannotInsert));
    assert_eq!(put(ROOT, "root/el3", "<el4/>"), Err(Conflict::CannotInsert));
    assert_eq!(
        put(ROOT, "root/el1[@att=\"first\"]", "<el1 att=\"x\"/>"),
        Err(Conflict::CannotInsert),
        "a replacement too"
    );
    assert_eq!(put(ROOT, "root/none/el", "<el/>"), Err(Conflict::NoParent));
    for body in ["", "text", "<a/><b/>", "<a>", "<?xml version='1.0'?><el3/>", "<a/> t"] {
        assert_eq!(put(ROOT, "root/el3", body), Err(Conflict::NotXmlFragment), "{body}");
    }
}

#[test]
fn s8_2_4_a_replacement_changes_nothing_else() {
    let edited = put(ROOT, "root/el1[2]", "<el1 att=\"second\">\n x</el1>").unwrap();
    assert!(!edited.is_new);
    assert_eq!(
        edited.text,
        ROOT.replace("<el1 att=\"second\"/>", "<el1 att=\"second\">\n x</el1>")
    );
}

#[test]
fn an_element_with_one_tag_takes_children() {
    let edited = put("<a><b c='1'/></a>", "a/b/d", "<d/>").unwrap();
    assert_eq!(edited.text, "<a><b c='1'><d/></b></a>");
    let edited = put("<a></a>", "a/d", "<d/>").unwrap();
    assert_eq!(edited.text, "<a><d/></a>");
}

#[test]
fn attributes_are_put_read_and_deleted() {
    let edited = put(ROOT, "root/el2/@new", "a &amp; \"b\"").unwrap();
    assert!(edited.is_new);
    assert!(edited.text.contains("<el2 new=\"a &amp; &quot;b&quot;\" att=\"first\"/>"));
    let read = edit::get(&edited.text, &selector("root/el2/@new")).unwrap();
    assert_eq!(read, Part::Attribute("a &amp; &quot;b&quot;".to_owned()));
    let again = put(&edited.text, "root/el2/@new", "c").unwrap();
    assert!(!again.is_new && again.text.contains("<el2 new=\"c\" att"));
    let gone = edit::delete(&again.text, &selector("root/el2/@new")).unwrap().unwrap();
    assert_eq!(gone, ROOT);
    assert_eq!(
        put(ROOT, "root/el2[@att=\"first\"]/@att", "other"),
        Err(Conflict::CannotInsert),
        "the selector would not select it any longer (RFC 4825 §7.7)"
    );
    for body in ["<", "&", "a & b"] {
        assert_eq!(put(ROOT, "root/el2/@x", body), Err(Conflict::NotAttributeValue), "{body}");
    }
}

#[test]
fn s8_4_deleting_is_idempotent_or_refused() {
    let deleted = edit::delete(ROOT, &selector("root/el1[@att='first']")).unwrap().unwrap();
    assert!(deleted.contains("<root>\n \n <el1 att=\"second\"/>"), "white space stays");
    assert_eq!(edit::delete(ROOT, &selector("root/el1[1]")), Err(Conflict::CannotDelete));
    assert_eq!(edit::delete(ROOT, &selector("root/el9")), Ok(None));
    assert!(matches!(edit::delete(ROOT, &selector("root")), Err(Conflict::SchemaValidation(_))));
}

#[test]
fn s6_3_a_selector_that_selects_two_selects_none() {
    assert_eq!(edit::get(ROOT, &selector("root/el1")), None);
    let one = edit::get(ROOT, &selector("root/*[4]"));
    assert_eq!(one, None, "comments are no elements");
    assert_eq!(
        edit::get(ROOT, &selector("root/*[3]")),
        Some(Part::Element("<el2 att=\"first\"/>".to_owned()))
    );
}

#[test]
fn s6_4_prefixes_are_bound_by_the_query() {
    // The example of RFC 4825 §6.4.
    let document = "<?xml version=\"1.0\"?>\n<foo xmlns=\"urn:test:default-namespace\">\n\
        <ns1:bar xmlns:ns1=\"urn:test:namespace1-uri\" xmlns=\"urn:test:namespace1-uri\">\n\
        <baz/>\n<ns2:baz xmlns:ns2=\"urn:test:namespace2-uri\"/>\n</ns1:bar>\n\
        <ns3:hi xmlns:ns3=\"urn:test:namespace3-uri\">\n<there/>\n</ns3:hi>\n</foo>";
    let query = "xmlns(a=urn:test:namespace1-uri)xmlns(b=urn:test:namespace2-uri)";
    let get = |path: &str, query: &str| {
        let selector = Selector::parse(path, Some(query), "urn:test:default-namespace").unwrap();
        edit::get(document, &selector)
    };
    assert_eq!(get("foo/a:bar/a:baz", query), Some(Part::Element("<baz/>".to_owned())));
    assert_eq!(
        get("foo/a:bar/b:baz", query),
        Some(Part::Element("<ns2:baz xmlns:ns2=\"urn:test:namespace2-uri\"/>".to_owned()))
    );
    assert_eq!(get("foo/a:bar/baz", query), None);
    assert!(get("foo/c:hi/there", "xmlns(c=urn:test:namespace3-uri)").is_some());
    assert_eq!(Selector::parse("foo/c:hi", Some(query), ""), Err(InvalidSelector::UnboundPrefix));
    let Some(Part::Namespaces(bound)) = get("foo/a:bar/namespace::*", query) else {
        panic!("namespaces");
    };
    assert!(
        bound.starts_with("<ns1:bar") && bound.contains("xmlns:ns1=\"urn:test:namespace1-uri\"")
    );
}

#[test]
fn selectors_that_are_none_are_refused() {
    for path in [
        "",
        "root//x",
        "root/[1]",
        "root/el1[0]",
        "root/el1[x]",
        "root/@a/b",
        "root/el1[@a=b]",
        "root/el1[@a='x'",
        "root/el1[@a='x'][1]",
        "%ff",
    ] {
        assert!(Selector::parse(path, None, "").is_err(), "{path}");
    }
    let slash = selector("root/entry%5b@uri=%22http://x/y%22%5d");
    assert_eq!(slash.steps.len(), 2, "a slash in quotes is part of the value");
}

fn check(usage: Usage, document: &str) -> Result<schema::Meaning, Conflict> {
    let (text, tree) = edit::check(document.as_bytes(), &Limits::default())?;
    schema::check(usage, "sip:joe@example.com", text, &tree, &Limits::default())
}

const LISTS: &str = "<resource-lists xmlns='urn:ietf:params:xml:ns:resource-lists'>";

#[test]
fn resource_lists_keep_their_constraints() {
    let lists =
        |inside: &str| check(Usage::ResourceLists, &format!("{LISTS}{inside}</resource-lists>"));
    // The example of RFC 4826 §3.3, with references.
    lists(
        "<list name='friends'><entry uri='sip:bill@example.com'><display-name>Bill Doe</display-name></entry>\
         <entry-ref ref='resource-lists/users/sip:bill@example.com/index/~~/resource-lists/list%5b@name=%22l1%22%5d/entry'/>\
         <list name='close-friends'><display-name>Close Friends</display-name>\
         <entry uri='sip:joe@example.com'/><external anchor='http://x/y'/><other xmlns='urn:x'/></list></list>",
    )
    .unwrap();
    for (inside, is_schema) in [
        ("<entry uri='sip:a@b'/>", true),
        ("<list><entry/></list>", true),
        ("<list><friend/></list>", true),
        ("<list><entry uri='sip:a@b'><entry uri='sip:c@d'/></entry></list>", true),
        ("<list name='a'/><list name='a'/>", false),
        ("<list><entry uri='sip:a@b'/><entry uri='sip:a@b'/></list>", false),
        ("<list><entry-ref ref='http://x/y'/></list>", false),
        ("<list><external anchor='x/y'/></list>", false),
    ] {
        let refused = lists(inside).unwrap_err();
        assert_eq!(
            matches!(refused, Conflict::SchemaValidation(_)),
            is_schema,
            "{inside}: {refused:?}"
        );
    }
}

#[test]
fn services_point_into_their_owners_tree() {
    let services = |inside: &str| {
        check(
            Usage::RlsServices,
            &format!(
                "<rls-services xmlns='urn:ietf:params:xml:ns:rls-services' \
                 xmlns:rl='urn:ietf:params:xml:ns:resource-lists'>{inside}</rls-services>"
            ),
        )
    };
    let path = "index/~~/resource-lists/list%5b@name=%22l1%22%5d";
    services(&format!(
        "<service uri='sip:mybuddies@example.com'><resource-list>http://xcap.example.com/resource-lists/users/sip:joe@example.com/{path}</resource-list>\
         <packages><package>presence</package></packages></service>\
         <service uri='sip:marketing@example.com'><list name='marketing'><rl:entry uri='sip:joe@example.com'/></list></service>"
    ))
    .unwrap();
    for inside in [
        "<service><list/></service>".to_owned(),
        "<service uri='sip:a@b'/>".to_owned(),
        "<service uri='sip:a@b'><list/></service><service uri='sip:a@b'><list/></service>"
            .to_owned(),
        format!(
            "<service uri='sip:a@b'><resource-list>resource-lists/users/sip:joe@example.com/{path}</resource-list></service>"
        ),
        format!(
            "<service uri='sip:a@b'><resource-list>http://x/resource-lists/users/sip:eve@example.com/{path}</resource-list></service>"
        ),
    ] {
        assert!(services(&inside).is_err(), "{inside}");
    }
}

#[test]
fn documents_that_are_none_are_told_apart() {
    let refused = |bytes: &[u8]| edit::check(bytes, &Limits::default()).unwrap_err();
    assert_eq!(refused(b"<a>\xff</a>"), Conflict::NotUtf8);
    assert!(matches!(refused(b"<a>"), Conflict::NotWellFormed(_)));
    assert!(matches!(refused(b"<!DOCTYPE a><a/>"), Conflict::NotWellFormed(_)));
    let document = Conflict::NotUnique("list/@name".to_owned()).document();
    assert!(document.ends_with(
        "<xcap-error xmlns=\"urn:ietf:params:xml:ns:xcap-error\"><uniqueness-failure>\
         <exists field=\"list/@name\"/></uniqueness-failure></xcap-error>"
    ));
    roxmltree::Document::parse(&document).unwrap();
}
