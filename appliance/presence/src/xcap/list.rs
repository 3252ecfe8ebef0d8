//! Resource lists and the services made of them (RFC 4826), as they stand in a document.

use roxmltree::{Document, Node};

use super::selector::{Selector, percent_decoded};
use super::usage::Usage;
use crate::document::fragment::{attribute_of, elements, text_of};

/// The namespace of resource lists.
pub(crate) const RESOURCE_LISTS: &str = "urn:ietf:params:xml:ns:resource-lists";
/// The namespace of services.
pub(crate) const RLS_SERVICES: &str = "urn:ietf:params:xml:ns:rls-services";

/// A list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List {
    /// Its name among the lists beside it.
    pub name: Option<String>,
    /// What people call it.
    pub display_name: Option<String>,
    /// What is in it, in order.
    pub members: Vec<Member>,
}

/// Something in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// One resource.
    Entry {
        /// Its URI.
        uri: String,
        /// What the list's owner calls it.
        display_name: Option<String>,
    },
    /// A reference to an entry in a document of the same root (RFC 4826 §3.1).
    EntryRef(String),
    /// A reference to a list by its HTTP URI.
    External(String),
    /// A list in the list.
    List(List),
}

/// A service: a list that can be subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The URI to subscribe to.
    pub uri: String,
    /// What is in it.
    pub source: Source,
    /// The event packages it serves; empty for all.
    pub packages: Vec<String>,
}

/// Where the members of a service stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In the service.
    Here(List),
    /// In a list of the owner, by its HTTP URI.
    ResourceList(String),
}

impl List {
    /// The list of an element that is one by its type.
    pub(crate) fn read(element: Node<'_, '_>) -> Self {
        let mut list = Self {
            name: attribute_of(element, "name").map(str::to_owned),
            display_name: display_name(element),
            members: Vec::new(),
        };
        for child in elements(element) {
            if child.tag_name().namespace() != Some(RESOURCE_LISTS) {
                continue;
            }
            list.members.extend(match child.tag_name().name() {
                "entry" => Member::entry(child),
                "entry-ref" => {
                    attribute_of(child, "ref").map(|uri| Member::EntryRef(uri.to_owned()))
                }
                "external" => {
                    attribute_of(child, "anchor").map(|uri| Member::External(uri.to_owned()))
                }
                "list" => Some(Member::List(Self::read(child))),
                _ => None,
            });
        }
        list
    }
}

impl Member {
    fn entry(element: Node<'_, '_>) -> Option<Self> {
        let uri = attribute_of(element, "uri")?.trim().to_owned();
        Some(Self::Entry { uri, display_name: display_name(element) })
    }
}

fn display_name(element: Node<'_, '_>) -> Option<String> {
    let child =
        elements(element).find(|child| child.has_tag_name((RESOURCE_LISTS, "display-name")))?;
    Some(text_of(child)?.trim_ascii().to_owned()).filter(|name| !name.is_empty())
}

/// All lists at the top of a document.
#[must_use]
pub fn lists(source: &str) -> Vec<List> {
    let Ok(tree) = Document::parse(source) else { return Vec::new() };
    elements(tree.root_element()).map(List::read).collect()
}

/// All services of a document.
#[must_use]
pub fn services(source: &str) -> Vec<Service> {
    let Ok(tree) = Document::parse(source) else { return Vec::new() };
    elements(tree.root_element()).filter_map(service).collect()
}

pub(super) fn service(element: Node<'_, '_>) -> Option<Service> {
    let child =
        |name: &str| elements(element).find(|child| child.has_tag_name((RLS_SERVICES, name)));
    let source = match (child("list"), child("resource-list")) {
        (Some(list), _) => Source::Here(List::read(list)),
        (None, Some(reference)) => {
            Source::ResourceList(text_of(reference)?.trim_ascii().to_owned())
        }
        (None, None) => return None,
    };
    let packages = child("packages").map(|packages| {
        elements(packages)
            .filter_map(|package| Some(text_of(package)?.trim_ascii().to_owned()))
            .collect()
    });
    Some(Service {
        uri: attribute_of(element, "uri")?.trim().to_owned(),
        source,
        packages: packages.unwrap_or_default(),
    })
}

/// What a selector selects, where that is a list or an entry.
#[must_use]
pub fn member_at(source: &str, selector: &Selector) -> Option<Member> {
    let tree = Document::parse(source).ok()?;
    let element = selector.element(&tree, 0)?;
    match element.tag_name().name() {
        "list" => Some(Member::List(List::read(element))),
        "entry" => Member::entry(element),
        "resource-lists" => Some(Member::List(List {
            members: elements(element).map(List::read).map(Member::List).collect(),
            ..List::default()
        })),
        _ => None,
    }
}

/// A reference to a document of a user, and to a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The usage.
    pub usage: Usage,
    /// Whose document; none for the global tree.
    pub user: Option<String>,
    /// The name of the document.
    pub document: String,
    /// The part; none for the whole document.
    pub selector: Option<Selector>,
}

impl Reference {
    /// Reads a path below the root, or a URI that has one in it: `resource-lists/users/…`.
    #[must_use]
    pub fn parse(uri: &str) -> Option<Self> {
        let (path, query) = match uri.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (uri, None),
        };
        let (document, node) = match path.split_once("/~~/") {
            Some((document, node)) => (document, Some(node)),
            None => (path.trim_end_matches('/'), None),
        };
        let segments: Vec<&str> = document.split('/').filter(|part| !part.is_empty()).collect();
        let (name, rest) = segments.split_last()?;
        let (auid, user) = match rest {
            [.., auid, "users", user] => (*auid, Some(percent_decoded(user)?)),
            [.., auid, "global"] => (*auid, None),
            _ => return None,
        };
        let usage = Usage::of(auid)?;
        let selector = node.map(|node| Selector::parse(node, query, usage.default_namespace()));
        Some(Self {
            usage,
            user,
            document: percent_decoded(name)?,
            selector: selector.transpose().ok()?,
        })
    }
}
