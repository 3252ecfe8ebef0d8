//! Whether a document is one of its usage: schema, uniqueness, constraints (RFC 4825 §8.2.5).

use roxmltree::{Document, Node};

use super::conflict::Conflict;
use super::list::{List, RESOURCE_LISTS, RLS_SERVICES, Reference, Service, service};
use super::usage::Usage;
use crate::document::fragment::{attribute_of, elements, text_of};
use crate::document::guard::Limits;
use crate::document::pidf::PublishedDocument;
use crate::policy::Ruleset;

/// What a valid document means.
#[derive(Debug, Clone)]
pub enum Meaning {
    /// Lists.
    Lists(Vec<List>),
    /// Services.
    Services(Vec<Service>),
    /// Rules.
    Rules(Ruleset),
    /// Presence.
    Presence(Box<PublishedDocument>),
}

/// Checks a document, given as text and as a tree of it.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(
    usage: Usage,
    owner: &str,
    text: &str,
    tree: &Document<'_>,
    limits: &Limits,
) -> Result<Meaning, Conflict> {
    let root = tree.root_element();
    match usage {
        Usage::XcapCaps => Err(Conflict::Constraint("the document cannot be changed".to_owned())),
        Usage::ResourceLists => {
            expect(root, RESOURCE_LISTS, "resource-lists")?;
            for child in elements(root) {
                expect(child, RESOURCE_LISTS, "list")?;
                check_list(child)?;
            }
            unique(root, "list", "name", "resource-lists/list/@name")?;
            Ok(Meaning::Lists(elements(root).map(List::read).collect()))
        }
        Usage::RlsServices => check_services(root, owner).map(Meaning::Services),
        Usage::PresRules | Usage::OmaPresRules => Ruleset::parse(text.as_bytes(), limits)
            .map(Meaning::Rules)
            .map_err(|error| Conflict::SchemaValidation(error.to_string())),
        Usage::PidfManipulation => PublishedDocument::parse(text.as_bytes(), limits)
            .map(|document| Meaning::Presence(Box::new(document)))
            .map_err(|error| Conflict::SchemaValidation(error.to_string())),
    }
}

fn check_services(root: Node<'_, '_>, owner: &str) -> Result<Vec<Service>, Conflict> {
    expect(root, RLS_SERVICES, "rls-services")?;
    let mut services = Vec::new();
    for child in elements(root) {
        expect(child, RLS_SERVICES, "service")?;
        need(child, "uri")?;
        let mut sources = 0;
        for part in elements(child) {
            match (part.tag_name().namespace(), part.tag_name().name()) {
                (Some(RLS_SERVICES), "list") => {
                    check_list(part)?;
                    sources += 1;
                }
                (Some(RLS_SERVICES), "resource-list") => {
                    let uri = text_of(part).unwrap_or_default();
                    check_reference(uri.trim_ascii(), owner)?;
                    sources += 1;
                }
                (Some(RLS_SERVICES), "packages") => {
                    for package in elements(part).filter(|package| in_namespace(*package)) {
                        expect(package, RLS_SERVICES, "package")?;
                    }
                }
                (Some(RLS_SERVICES), other) => return Err(unexpected("service", other)),
                _ => {}
            }
        }
        let found = service(child).filter(|_| sources == 1);
        services.push(found.ok_or_else(|| {
            Conflict::SchemaValidation("a service needs one list or resource-list".to_owned())
        })?);
    }
    unique(root, "service", "uri", "rls-services/service/@uri")?;
    Ok(services)
}

/// A service's list must be an absolute URI below the tree of who owns the service.
fn check_reference(uri: &str, owner: &str) -> Result<(), Conflict> {
    let wrong = |what: &str| Err(Conflict::Constraint(what.to_owned()));
    if !uri.starts_with("http://") && !uri.starts_with("https://") {
        return wrong("resource-list must be an absolute HTTP URI");
    }
    match Reference::parse(uri) {
        Some(reference)
            if reference.usage == Usage::ResourceLists
                && reference.user.as_deref().is_some_and(|user| is_user(user, owner)) =>
        {
            Ok(())
        }
        _ => wrong("resource-list must point into the owner's own resource-lists"),
    }
}

/// Whether an XUI is this user: its AoR, with or without the scheme, or its id.
#[must_use]
pub fn is_user(xui: &str, aor: &str) -> bool {
    let bare = |text: &str| text.trim_start_matches("sip:").to_ascii_lowercase();
    let (xui, aor) = (bare(xui), bare(aor));
    xui == aor || aor.split_once('@').is_some_and(|(id, _)| id == xui)
}

fn in_namespace(element: Node<'_, '_>) -> bool {
    matches!(element.tag_name().namespace(), Some(RESOURCE_LISTS | RLS_SERVICES))
}

fn check_list(list: Node<'_, '_>) -> Result<(), Conflict> {
    for child in elements(list).filter(|child| in_namespace(*child)) {
        match child.tag_name().name() {
            "display-name" => {}
            "list" => check_list(child)?,
            "entry" => {
                need(child, "uri")?;
                check_names(child, "entry")?;
            }
            "entry-ref" => {
                let reference = need(child, "ref")?;
                check_names(child, "entry-ref")?;
                if reference.starts_with('/') || reference.contains("://") {
                    let what = "ref must be a path relative to the XCAP root";
                    return Err(Conflict::Constraint(what.to_owned()));
                }
            }
            "external" => {
                check_names(child, "external")?;
                let anchor = attribute_of(child, "anchor").unwrap_or("http://");
                if !anchor.starts_with("http://") && !anchor.starts_with("https://") {
                    let what = "anchor must be an absolute HTTP URI";
                    return Err(Conflict::Constraint(what.to_owned()));
                }
            }
            other => return Err(unexpected("list", other)),
        }
    }
    unique(list, "list", "name", "list/@name")?;
    unique(list, "entry", "uri", "entry/@uri")?;
    unique(list, "entry-ref", "ref", "entry-ref/@ref")?;
    unique(list, "external", "anchor", "external/@anchor")
}

fn check_names(element: Node<'_, '_>, name: &str) -> Result<(), Conflict> {
    let mut names = 0;
    for child in elements(element).filter(|child| in_namespace(*child)) {
        names += 1;
        if child.tag_name().name() != "display-name" || names > 1 {
            return Err(unexpected(name, child.tag_name().name()));
        }
    }
    Ok(())
}

fn unique(parent: Node<'_, '_>, name: &str, key: &str, field: &str) -> Result<(), Conflict> {
    let mut values: Vec<&str> = elements(parent)
        .filter(|child| in_namespace(*child) && child.tag_name().name() == name)
        .filter_map(|child| attribute_of(child, key))
        .collect();
    let count = values.len();
    values.sort_unstable();
    values.dedup();
    if values.len() == count { Ok(()) } else { Err(Conflict::NotUnique(field.to_owned())) }
}

fn expect(element: Node<'_, '_>, namespace: &str, name: &str) -> Result<(), Conflict> {
    if element.has_tag_name((namespace, name)) {
        return Ok(());
    }
    let found = element.tag_name().name();
    Err(Conflict::SchemaValidation(format!("expected {name}, found {found}")))
}

fn need<'a>(element: Node<'a, '_>, name: &str) -> Result<&'a str, Conflict> {
    attribute_of(element, name).filter(|value| !value.is_empty()).ok_or_else(|| {
        let element = element.tag_name().name();
        Conflict::SchemaValidation(format!("{element} needs the attribute {name}"))
    })
}

fn unexpected(parent: &str, found: &str) -> Conflict {
    Conflict::SchemaValidation(format!("{found} is not expected in {parent}"))
}
