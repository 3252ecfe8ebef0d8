//! Whatever a publisher says in whichever prefixes, watchers are told the same.
//!
//! Documents are generated as trees of expanded names and written with prefixes, declarations,
//! quotes, escapes, comments and white space chosen at random. What is composed of them is read
//! with an independent parser, and must hold the same trees.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fmt::Write;

use presence::compositor::{Input, Order, compose};
use presence::document::guard::Limits;
use presence::document::pidf::PublishedDocument;
use proptest::prelude::*;
use roxmltree::{Document, Node};
use sip::clock::WallTime;

const PIDF: &str = "urn:ietf:params:xml:ns:pidf";
const DM: &str = "urn:ietf:params:xml:ns:pidf:data-model";
const RPID: &str = "urn:ietf:params:xml:ns:pidf:rpid";
const CAPS: &str = "urn:ietf:params:xml:ns:pidf:caps";
const NAMESPACES: [&str; 7] = [PIDF, DM, RPID, CAPS, "urn:example:a", "urn:example:b", ""];
const KNOWN: usize = 4;
const NO_NAMESPACE: usize = 6;
/// The prefixes that a publisher may use, ours and some that begin like them among them.
const PREFIXES: [&str; 9] = ["", "dm", "rpid", "caps", "cipid", "p", "dm_", "ns", "x-1.y"];

#[derive(Debug, Clone)]
struct Element {
    namespace: usize,
    local: &'static str,
    /// Namespace (the last one for none), name and value.
    attributes: Vec<(usize, &'static str, String)>,
    children: Vec<Child>,
    /// Which prefix to prefer, and whether to declare it here even where one is in scope.
    prefix: usize,
    declares: bool,
}

#[derive(Debug, Clone)]
enum Child {
    Element(Element),
    Text(String),
    Characters(String),
    Comment,
    Instruction,
}

fn text() -> impl Strategy<Value = String> {
    "[a-z:&<>\"' \\]é\u{1f600}]{1,6}"
}

fn attributes(
    namespaces: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<(usize, &'static str, String)>> {
    let name = prop::sample::select(vec!["k", "l", "href"]);
    prop::collection::vec((namespaces, name, "[a-z:&<>\"'\n\té]{0,6}"), 0..3).prop_map(
        |mut list| {
            list.sort();
            list.dedup_by_key(|(namespace, name, _)| (*namespace, *name));
            list
        },
    )
}

fn any_child(element: impl Strategy<Value = Element> + 'static) -> impl Strategy<Value = Child> {
    prop_oneof![
        4 => element.prop_map(Child::Element),
        2 => text().prop_map(Child::Text),
        1 => text().prop_map(Child::Characters),
        1 => Just(Child::Comment),
        1 => Just(Child::Instruction),
    ]
}

/// Any element of any of these namespaces, with anything in it.
fn any_element(namespaces: std::ops::Range<usize>) -> impl Strategy<Value = Element> {
    let local = || prop::sample::select(vec!["e", "note", "tuple", "mood", "deviceID"]);
    let leaf = (
        0..=NO_NAMESPACE,
        local(),
        attributes(0..NO_NAMESPACE + 1),
        text(),
        0..9_usize,
        any::<bool>(),
    )
        .prop_map(|(namespace, local, attributes, text, prefix, declares)| Element {
            namespace,
            local,
            attributes,
            children: vec![Child::Text(text)],
            prefix,
            declares,
        });
    let inner = leaf.prop_recursive(3, 12, 3, move |element| {
        (
            0..=NO_NAMESPACE,
            local(),
            attributes(0..NO_NAMESPACE + 1),
            prop::collection::vec(any_child(element), 0..3),
            0..9_usize,
            any::<bool>(),
        )
            .prop_map(|(namespace, local, attributes, children, prefix, declares)| {
                Element { namespace, local, attributes, children, prefix, declares }
            })
    });
    (
        namespaces,
        prop::sample::select(vec!["e", "f"]),
        attributes(0..NO_NAMESPACE + 1),
        prop::collection::vec(any_child(inner), 0..4),
        0..9_usize,
        any::<bool>(),
    )
        .prop_map(|(namespace, local, attributes, children, prefix, declares)| Element {
            namespace,
            local,
            attributes,
            children,
            prefix,
            declares,
        })
}

/// An extension element as may stand in tuple, status and presence: of any namespace but PIDF.
fn extension() -> impl Strategy<Value = Element> {
    any_element(1..NO_NAMESPACE)
}

fn plain(
    namespace: usize,
    local: &'static str,
    children: Vec<Child>,
    style: (usize, bool),
) -> Element {
    Element {
        namespace,
        local,
        attributes: Vec::new(),
        children,
        prefix: style.0,
        declares: style.1,
    }
}

fn style() -> impl Strategy<Value = (usize, bool)> {
    (0..9_usize, prop::bool::weighted(0.2))
}

fn tuple(id: &'static str) -> impl Strategy<Value = Element> {
    let status = (
        prop::option::of(prop::sample::select(vec!["open", "closed"])),
        prop::collection::vec(extension(), 0..2),
        style(),
    )
        .prop_map(|(basic, extensions, style)| {
            let basic =
                basic.map(|basic| plain(0, "basic", vec![Child::Text(basic.to_owned())], style));
            let children = basic.into_iter().chain(extensions).map(Child::Element).collect();
            plain(0, "status", children, style)
        });
    let note =
        (text(), prop::option::of(Just(("lang", "de"))), style()).prop_map(|(text, _, style)| {
            plain(0, "note", vec![Child::Comment, Child::Characters(text)], style)
        });
    let contact = (prop::option::of("[a-z:&]{0,9}"), style()).prop_map(|(uri, style)| {
        let mut contact = plain(0, "contact", uri.into_iter().map(Child::Text).collect(), style);
        contact.attributes.push((NO_NAMESPACE, "priority", "0.25".to_owned()));
        contact
    });
    let device =
        style().prop_map(|style| plain(1, "deviceID", vec![Child::Text("urn:d".into())], style));
    (
        status,
        prop::collection::vec(extension(), 0..3),
        prop::collection::vec(note, 0..2),
        prop::option::of(contact),
        prop::option::of(device),
        attributes(4..6),
        style(),
        any::<bool>(),
    )
        .prop_map(
            move |(status, extensions, notes, contact, device, mut attributes, style, turn)| {
                attributes.push((NO_NAMESPACE, "id", id.to_owned()));
                let mut children: Vec<Child> = device
                    .into_iter()
                    .chain(extensions)
                    .chain(contact)
                    .chain(notes)
                    .chain([status])
                    .map(Child::Element)
                    .collect();
                if turn {
                    let half = children.len() / 2;
                    children.rotate_left(half);
                }
                Element {
                    namespace: 0,
                    local: "tuple",
                    attributes,
                    children,
                    prefix: style.0,
                    declares: style.1,
                }
            },
        )
}

fn person() -> impl Strategy<Value = Element> {
    let activities = (any_element(2..NO_NAMESPACE), style())
        .prop_map(|(inner, style)| plain(2, "activities", vec![Child::Element(inner)], style));
    (prop::collection::vec(prop_oneof![extension().boxed(), activities.boxed()], 0..3), style())
        .prop_map(|(extensions, style)| {
            let children = extensions.into_iter().map(Child::Element).collect();
            let mut person = plain(1, "person", children, style);
            person.attributes.push((NO_NAMESPACE, "id", "p".to_owned()));
            person
        })
}

fn presence() -> impl Strategy<Value = Element> {
    (
        tuple("t"),
        prop::option::of(tuple("u")),
        prop::option::of(person()),
        prop::collection::vec(extension(), 0..2),
        attributes(4..6),
        style(),
    )
        .prop_map(|(first, second, person, extensions, mut attributes, style)| {
            attributes.push((NO_NAMESPACE, "entity", "sip:bob@example.test".to_owned()));
            let children = person
                .into_iter()
                .chain([first])
                .chain(extensions)
                .chain(second)
                .map(Child::Element)
                .collect();
            Element {
                namespace: 0,
                local: "presence",
                attributes,
                children,
                prefix: style.0,
                declares: true,
            }
        })
}

/// The bindings in scope: prefix and namespace, the last one first to count.
type Scope = Vec<(String, usize)>;

fn bound(scope: &Scope, prefix: &str) -> Option<usize> {
    scope.iter().rev().find(|(bound, _)| bound == prefix).map(|(_, namespace)| *namespace)
}

fn prefix_of(scope: &Scope, namespace: usize, may_be_default: bool) -> Option<String> {
    scope
        .iter()
        .rev()
        .find(|(prefix, is)| {
            *is == namespace
                && bound(scope, prefix) == Some(namespace)
                && (may_be_default || !prefix.is_empty())
        })
        .map(|(prefix, _)| prefix.clone())
}

fn quoted(value: &str, out: &mut String) {
    let quote = if value.len().is_multiple_of(2) { '"' } else { '\'' };
    out.push(quote);
    for c in value.chars() {
        match c {
            '&' => out.push_str("&#38;"),
            '<' => out.push_str("&lt;"),
            '\n' => out.push_str("&#xA;"),
            '\t' => out.push_str("&#9;"),
            c if c == quote => write!(out, "&#{};", u32::from(c)).unwrap(),
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// Writes an element; `root` declares every namespace in an order of its own.
fn write(element: &Element, scope: &Scope, root: Option<usize>, out: &mut String) {
    let mut scope = scope.clone();
    let mut declared: Vec<(String, usize)> = Vec::new();
    let declare =
        |scope: &mut Scope, declared: &mut Vec<(String, usize)>, prefix: String, namespace| {
            scope.push((prefix.clone(), namespace));
            declared.push((prefix, namespace));
        };
    if let Some(turn) = root {
        for (place, prefix) in PREFIXES.iter().enumerate() {
            let namespace = (place + turn) % PREFIXES.len();
            if namespace < NO_NAMESPACE {
                declare(&mut scope, &mut declared, (*prefix).to_owned(), namespace);
            }
        }
    }
    let namespace = element.namespace;
    let prefix = if namespace == NO_NAMESPACE {
        if !matches!(bound(&scope, ""), None | Some(NO_NAMESPACE)) {
            declare(&mut scope, &mut declared, String::new(), NO_NAMESPACE);
        }
        String::new()
    } else {
        let wanted = PREFIXES[element.prefix];
        let is_free = declared.iter().all(|(prefix, _)| prefix != wanted);
        match prefix_of(&scope, namespace, true) {
            Some(prefix) if !(element.declares && is_free) => prefix,
            _ => {
                assert!(is_free, "the root declares all");
                declare(&mut scope, &mut declared, wanted.to_owned(), namespace);
                wanted.to_owned()
            }
        }
    };
    let mut attributes = String::new();
    for (namespace, name, value) in &element.attributes {
        attributes.push_str(if value.len() > 3 { "\n  " } else { " " });
        if *namespace != NO_NAMESPACE {
            let prefix = prefix_of(&scope, *namespace, false).unwrap_or_else(|| {
                let prefix = format!("q{namespace}");
                declare(&mut scope, &mut declared, prefix.clone(), *namespace);
                prefix
            });
            attributes.push_str(&prefix);
            attributes.push(':');
        }
        attributes.push_str(name);
        attributes.push_str(if value.len() > 4 { " = " } else { "=" });
        quoted(value, &mut attributes);
    }
    let separator = if prefix.is_empty() { "" } else { ":" };
    let name = format!("{prefix}{separator}{}", element.local);
    write!(out, "<{name}").unwrap();
    if element.attributes.len().is_multiple_of(2) {
        out.push_str(&attributes);
        attributes.clear();
    }
    for (prefix, namespace) in &declared {
        let separator = if prefix.is_empty() { "" } else { ":" };
        write!(out, " xmlns{separator}{prefix}='{}'", NAMESPACES[*namespace]).unwrap();
    }
    out.push_str(&attributes);
    if element.children.is_empty() && element.local.len().is_multiple_of(2) {
        out.push_str(" />");
        return;
    }
    out.push('>');
    for child in &element.children {
        match child {
            Child::Element(inner) => write(inner, &scope, None, out),
            Child::Text(text) => {
                out.push_str(
                    &text.replace('&', "&amp;").replace('<', "&#x3c;").replace('>', "&gt;"),
                );
            }
            Child::Characters(text) => {
                write!(out, "<![CDATA[{}]]>", text.replace("]]>", "")).unwrap()
            }
            Child::Comment => out.push_str("<!-- <x:y> & -->"),
            Child::Instruction => out.push_str("<?xml-stylesheet <x:y> & ?>"),
        }
    }
    write!(out, "</{name} >").unwrap();
}

/// What an element says, free of prefixes, comments and the order of attributes; of known
/// namespaces also of white space between elements.
fn meaning(node: Node<'_, '_>, is_copied: bool) -> String {
    let namespace = node.tag_name().namespace().unwrap_or_default();
    let is_copied = is_copied || !NAMESPACES[..KNOWN].contains(&namespace);
    let mut attributes: Vec<String> = node
        .attributes()
        .filter(|attribute| attribute.name() != "id")
        .map(|a| format!("{{{}}}{}={:?}", a.namespace().unwrap_or_default(), a.name(), a.value()))
        .collect();
    attributes.sort();
    let mut text = String::new();
    let mut children = Vec::new();
    let has_elements = node.children().any(|child| child.is_element());
    let flush = |text: &mut String, children: &mut Vec<String>| {
        if !(text.is_empty() || !is_copied && has_elements && text.trim_ascii().is_empty()) {
            children.push(format!("{text:?}"));
        }
        text.clear();
    };
    for child in node.children() {
        if child.is_element() {
            flush(&mut text, &mut children);
            children.push(meaning(child, is_copied));
        } else if child.is_text() {
            text.push_str(child.text().unwrap());
        }
    }
    flush(&mut text, &mut children);
    if namespace == PIDF && ["tuple", "status"].contains(&node.tag_name().name()) && !is_copied {
        children.sort();
    }
    format!("{{{namespace}}}{}{attributes:?}{children:?}", node.tag_name().name())
}

fn parts(xml: &str) -> Vec<String> {
    let tree = Document::parse(xml).unwrap();
    let mut parts: Vec<String> = tree
        .root_element()
        .children()
        .filter(Node::is_element)
        .map(|child| meaning(child, false))
        .collect();
    parts.sort();
    parts
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_composed_says_what_was_published(presence in presence(), turn in 0..9_usize) {
        let mut body = String::new();
        write(&presence, &Vec::new(), Some(turn), &mut body);
        let limits = Limits { namespaces: 1_000, ..Limits::default() };
        let document = PublishedDocument::parse(body.as_bytes(), &limits);
        let document = document.map_err(|error| TestCaseError::fail(format!("{error}: {body}")))?;
        let input = |document| Input { document, published: WallTime::from_millis(1), key: 1 };
        let composed = compose("sip:bob@example.test", &[input(&document)], &Order::default());
        let text = std::str::from_utf8(&composed).unwrap();
        prop_assert_eq!(parts(&body), parts(text), "{}\n{}", body, text);
        let again = PublishedDocument::parse(&composed, &limits).unwrap();
        prop_assert_eq!(document.tuples().len(), again.tuples().len());
        for tuple in document.tuples() {
            let same = again.tuples().iter().find(|other| other.id() == tuple.id()).unwrap();
            prop_assert_eq!(tuple.basic(), same.basic());
            prop_assert_eq!(tuple.contact(), same.contact());
            prop_assert_eq!(tuple.device_id(), same.device_id());
        }
        let recomposed = compose("sip:bob@example.test", &[input(&again)], &Order::default());
        prop_assert_eq!(parts(text), parts(std::str::from_utf8(&recomposed).unwrap()), "{}", text);
    }
}
