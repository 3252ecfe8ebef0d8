//! Reading, putting and deleting parts of a document (RFC 4825 §8), by cutting and pasting its
//! text, so that whatever is not touched stays as it was, to the letter.

use roxmltree::{Document, Node, ParsingOptions};

use super::conflict::Conflict;
use super::selector::{Name, Selector, Step, Terminal};
use crate::document::fragment::push_attribute;
use crate::document::guard::{self, Limits, Refused};

/// What a selector selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// An element, as it stands in the document.
    Element(String),
    /// The value of an attribute.
    Attribute(String),
    /// An element that declares the namespaces in scope (RFC 4825 §10).
    Namespaces(String),
}

impl Part {
    /// The media type of its representation.
    #[must_use]
    pub const fn media_type(&self) -> &'static str {
        match self {
            Self::Element(_) => ELEMENT,
            Self::Attribute(_) => ATTRIBUTE,
            Self::Namespaces(_) => "application/xcap-ns+xml",
        }
    }

    /// The representation.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Element(text) | Self::Attribute(text) | Self::Namespaces(text) => text,
        }
    }
}

/// The media type of an element by itself.
pub const ELEMENT: &str = "application/xcap-el+xml";
/// The media type of the value of an attribute.
pub const ATTRIBUTE: &str = "application/xcap-att+xml";

/// A document after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// Its text.
    pub text: String,
    /// What was put was not there before.
    pub is_new: bool,
}

/// Reads a document that is put as a whole.
///
/// # Errors
/// When it is no XML in UTF-8, or passes a limit.
pub fn check<'a>(bytes: &'a [u8], limits: &Limits) -> Result<(&'a str, Document<'a>), Conflict> {
    let text = guard::check(bytes, limits).map_err(|error| match error {
        Refused::NotUtf8 => Conflict::NotUtf8,
        Refused::TooLarge { .. } => Conflict::Constraint(error.to_string()),
        other => Conflict::NotWellFormed(other.to_string()),
    })?;
    let options = ParsingOptions { nodes_limit: limits.nodes, ..ParsingOptions::default() };
    let tree = Document::parse_with_options(text, options)
        .map_err(|error| Conflict::NotWellFormed(error.to_string()))?;
    Ok((text, tree))
}

/// What a selector selects in a document; none where it selects nothing.
#[must_use]
pub fn get(source: &str, selector: &Selector) -> Option<Part> {
    let tree = Document::parse(source).ok()?;
    let element = selector.element(&tree, 0)?;
    match &selector.terminal {
        Terminal::Element => Some(Part::Element(source.get(element.range())?.to_owned())),
        Terminal::Attribute(name) => {
            let range = attribute(element, name)?.range_value();
            Some(Part::Attribute(source.get(range)?.to_owned()))
        }
        Terminal::Namespaces => {
            let mut text = format!("<{}", qualified_name(source, element));
            for namespace in element.namespaces() {
                let declared = match namespace.name() {
                    Some("xml") => continue,
                    Some(prefix) => format!("xmlns:{prefix}"),
                    None => "xmlns".to_owned(),
                };
                push_attribute(&mut text, &declared, namespace.uri());
            }
            text.push_str("/>");
            Some(Part::Namespaces(text))
        }
    }
}

/// Puts an element or an attribute.
///
/// # Errors
/// When the body is none, has nowhere to go, or would not be what the selector selects.
pub fn put(
    source: &str,
    selector: &Selector,
    body: &[u8],
    limits: &Limits,
) -> Result<Edited, Conflict> {
    let body = std::str::from_utf8(body).map_err(|_| Conflict::NotUtf8)?;
    let tree = Document::parse(source).map_err(|e| Conflict::NotWellFormed(e.to_string()))?;
    match &selector.terminal {
        Terminal::Namespaces => Err(Conflict::CannotInsert),
        Terminal::Attribute(name) => put_attribute(source, &tree, selector, name, body),
        Terminal::Element => put_element(source, &tree, selector, body, limits),
    }
}

/// Removes what a selector selects; none where it selects nothing.
///
/// # Errors
/// When the selector would select something else then.
pub fn delete(source: &str, selector: &Selector) -> Result<Option<String>, Conflict> {
    let tree = Document::parse(source).map_err(|e| Conflict::NotWellFormed(e.to_string()))?;
    let Some(element) = selector.element(&tree, 0) else { return Ok(None) };
    let range = match &selector.terminal {
        Terminal::Namespaces => return Ok(None),
        Terminal::Element => element.range(),
        Terminal::Attribute(name) => {
            let Some(attribute) = attribute(element, name) else { return Ok(None) };
            let range = attribute.range();
            let before = source.get(..range.start).unwrap_or_default();
            before.trim_ascii_end().len()..range.end
        }
    };
    if element.parent().is_some_and(|parent| parent.is_root())
        && selector.terminal == Terminal::Element
    {
        let what = "the root element cannot be deleted; delete the document";
        return Err(Conflict::SchemaValidation(what.to_owned()));
    }
    let text = spliced(source, range, "");
    match get(&text, selector) {
        Some(_) => Err(Conflict::CannotDelete),
        None => Ok(Some(text)),
    }
}

fn put_attribute(
    source: &str,
    tree: &Document<'_>,
    selector: &Selector,
    name: &Name,
    body: &str,
) -> Result<Edited, Conflict> {
    if body.contains('<')
        || Document::parse(&format!("<a b=\"{}\"/>", body.replace('"', "'"))).is_err()
    {
        return Err(Conflict::NotAttributeValue);
    }
    let element = selector.element(tree, 0).ok_or(Conflict::NoParent)?;
    let (text, is_new) = if let Some(found) = attribute(element, name) {
        let range = found.range_value();
        let quote = source.get(..range.start).unwrap_or_default().chars().next_back();
        let escape = if quote == Some('"') { ('"', "&quot;") } else { ('\'', "&apos;") };
        (spliced(source, range, &body.replace(escape.0, escape.1)), false)
    } else {
        let prefix = match name.namespace.as_str() {
            "" => String::new(),
            namespace => {
                let prefix = element.lookup_prefix(namespace).filter(|prefix| !prefix.is_empty());
                format!("{}:", prefix.ok_or(Conflict::CannotInsert)?)
            }
        };
        let at = element.range().start + 1 + qualified_name(source, element).len();
        let value = body.replace('"', "&quot;");
        (spliced(source, at..at, &format!(" {prefix}{}=\"{value}\"", name.local)), true)
    };
    match get(&text, selector) {
        Some(Part::Attribute(_)) => Ok(Edited { text, is_new }),
        _ => Err(Conflict::CannotInsert),
    }
}

fn put_element(
    source: &str,
    tree: &Document<'_>,
    selector: &Selector,
    body: &str,
    limits: &Limits,
) -> Result<Edited, Conflict> {
    let step = selector.steps.last().ok_or(Conflict::NoParent)?;
    let parent = selector.element(tree, 1).ok_or(Conflict::NoParent)?;
    let trimmed = body.trim_ascii();
    // The fragment may use what its parent declares, so it is read inside the document.
    if !is_one_element(parent, trimmed, limits) {
        return Err(Conflict::NotXmlFragment);
    }
    let (text, start, is_new) = if let Some(target) = step.child_of(parent) {
        (spliced(source, target.range(), trimmed), target.range().start, false)
    } else {
        let place = place_for(source, parent, step, trimmed).ok_or(Conflict::CannotInsert)?;
        match place {
            Place::At(at) => (spliced(source, at..at, trimmed), at, true),
            Place::IntoEmpty => {
                let range = parent.range();
                let tag = source.get(range.clone()).unwrap_or_default();
                let open = tag.trim_end_matches('>').trim_end_matches('/');
                let name = qualified_name(source, parent);
                let filled = format!("{open}>{trimmed}</{name}>");
                let start = range.start + open.len() + 1;
                (spliced(source, range, &filled), start, true)
            }
        }
    };
    let edited = Document::parse(&text).map_err(|_| Conflict::NotXmlFragment)?;
    let is_selected =
        selector.element(&edited, 0).is_some_and(|element| element.range().start == start);
    if is_selected { Ok(Edited { text, is_new }) } else { Err(Conflict::CannotInsert) }
}

enum Place {
    At(usize),
    /// The parent has one tag only.
    IntoEmpty,
}

/// Where a new element goes (RFC 4825 §8.2.3).
fn place_for(source: &str, parent: Node<'_, '_>, step: &Step, body: &str) -> Option<Place> {
    if parent.is_root() {
        // A document has one root element; another one cannot be put beside it.
        return None;
    }
    let siblings: Vec<Node<'_, '_>> = parent.children().filter(Node::is_element).collect();
    let after = |node: Node<'_, '_>| Place::At(node.range().end);
    let last = || end_of_content(source, parent);
    match step.position {
        None => {
            // Behind the last of the same name, so that they stay together.
            let name = body_name(body);
            let same = |node: &&Node<'_, '_>| match &step.name {
                Some(name) => name.is(**node),
                None => Some(qualified_name(source, **node)) == name,
            };
            Some(siblings.iter().rfind(same).map_or_else(last, |node| after(*node)))
        }
        Some(position) => {
            let named: Vec<Node<'_, '_>> = step.named(parent).collect();
            match (position, named.first()) {
                (1, None) => Some(last()),
                (1, Some(first)) => Some(Place::At(first.range().start)),
                _ => named.get(position.checked_sub(2)?).map(|node| after(*node)),
            }
        }
    }
}

/// Behind everything inside an element.
fn end_of_content(source: &str, element: Node<'_, '_>) -> Place {
    let range = element.range();
    let text = source.get(range.clone()).unwrap_or_default();
    match text.rfind("</") {
        Some(at) if element.has_children() || !text.ends_with("/>") => Place::At(range.start + at),
        _ => Place::IntoEmpty,
    }
}

fn is_one_element(parent: Node<'_, '_>, body: &str, limits: &Limits) -> bool {
    if guard::check(body.as_bytes(), limits).is_err() || body.starts_with("<?") {
        return false;
    }
    let mut wrapped = String::from("<wrapper");
    if !parent.is_root() {
        for namespace in parent.namespaces().filter(|namespace| namespace.name() != Some("xml")) {
            let name =
                namespace.name().map_or_else(|| "xmlns".to_owned(), |n| format!("xmlns:{n}"));
            push_attribute(&mut wrapped, &name, namespace.uri());
        }
    }
    wrapped.push('>');
    wrapped.push_str(body);
    wrapped.push_str("</wrapper>");
    Document::parse(&wrapped).is_ok_and(|tree| {
        let mut children = tree.root_element().children();
        children.next().is_some_and(|child| child.is_element()) && children.next().is_none()
    })
}

/// The name of an element as it is written.
fn qualified_name<'a>(source: &'a str, element: Node<'_, '_>) -> &'a str {
    name_at(source.get(element.range()).unwrap_or_default()).unwrap_or_default()
}

fn body_name(body: &str) -> Option<&str> {
    name_at(body)
}

fn name_at(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('<')?;
    let end = inside.find(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/');
    inside.get(..end.unwrap_or(inside.len()))
}

fn attribute<'a, 'input>(
    element: Node<'a, 'input>,
    name: &Name,
) -> Option<roxmltree::Attribute<'a, 'input>> {
    element.attributes().find(|attribute| {
        attribute.namespace().unwrap_or_default() == name.namespace
            && attribute.name() == name.local
    })
}

fn spliced(source: &str, range: std::ops::Range<usize>, with: &str) -> String {
    let mut text = String::with_capacity(source.len() + with.len());
    text.push_str(source.get(..range.start).unwrap_or_default());
    text.push_str(with);
    text.push_str(source.get(range.end..).unwrap_or_default());
    text
}
