//! Node selectors: which part of a document a request means (RFC 4825 §6.3, §6.4).

use roxmltree::{Document, Node};

/// A selector that cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelector {
    /// It breaks the grammar.
    #[error("the node selector is malformed")]
    Malformed,
    /// It uses a prefix that the query does not bind (RFC 4825 §8).
    #[error("the node selector uses a prefix that is not bound")]
    UnboundPrefix,
}

/// An expanded name; no namespace is an empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The namespace.
    pub namespace: String,
    /// The local part.
    pub local: String,
}

/// One step towards an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The name; none for `*`.
    pub name: Option<Name>,
    /// Which of those, from one.
    pub position: Option<usize>,
    /// An attribute that it must have.
    pub attribute: Option<(Name, String)>,
}

/// What is meant of the element that the steps lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Terminal {
    /// The element.
    Element,
    /// One of its attributes: its name, and its prefix as written.
    Attribute(Name),
    /// The namespaces in scope.
    Namespaces,
}

/// A node selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// From the root element on; at least one.
    pub steps: Vec<Step>,
    /// What is meant in the end.
    pub terminal: Terminal,
}

impl Selector {
    /// Reads a selector as it stands in a path, percent-encoded, and the query that binds its
    /// prefixes.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(
        path: &str,
        query: Option<&str>,
        default_namespace: &str,
    ) -> Result<Self, InvalidSelector> {
        let text = percent_decoded(path).ok_or(InvalidSelector::Malformed)?;
        let query = query.unwrap_or_default().replace('+', "%20");
        let query = percent_decoded(&query).ok_or(InvalidSelector::Malformed)?;
        let names = Names { bindings: bindings(&query), default_namespace };
        let mut steps = Vec::new();
        let mut terminal = Terminal::Element;
        let mut parts = split(&text).into_iter().peekable();
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            if is_last && !steps.is_empty() && part == "namespace::*" {
                terminal = Terminal::Namespaces;
            } else if let Some(name) =
                part.strip_prefix('@').filter(|_| is_last && !steps.is_empty())
            {
                terminal = Terminal::Attribute(names.of_attribute(name)?);
            } else {
                steps.push(names.step(part)?);
            }
        }
        if steps.is_empty() {
            Err(InvalidSelector::Malformed)
        } else {
            Ok(Self { steps, terminal })
        }
    }

    /// The element that all steps, or all but the last few, lead to.
    #[must_use]
    pub fn element<'a, 'input>(
        &self,
        tree: &'a Document<'input>,
        leave: usize,
    ) -> Option<Node<'a, 'input>> {
        let count = self.steps.len().checked_sub(leave)?;
        let mut context = tree.root();
        for step in self.steps.iter().take(count) {
            context = step.child_of(context)?;
        }
        Some(context)
    }
}

impl Step {
    /// The one child of `parent` that the step selects.
    #[must_use]
    pub fn child_of<'a, 'input>(&self, parent: Node<'a, 'input>) -> Option<Node<'a, 'input>> {
        let at_position = |index: usize| self.position.is_none_or(|position| index + 1 == position);
        let mut found = None;
        for (index, node) in self.named(parent).enumerate() {
            if at_position(index) && self.fits(node) && found.replace(node).is_some() {
                return None;
            }
        }
        found
    }

    /// The children of `parent` with the step's name.
    pub fn named<'a, 'input>(
        &self,
        parent: Node<'a, 'input>,
    ) -> impl Iterator<Item = Node<'a, 'input>> {
        parent
            .children()
            .filter(|child| child.is_element() && self.name.as_ref().is_none_or(|n| n.is(*child)))
    }

    fn fits(&self, node: Node<'_, '_>) -> bool {
        self.attribute.as_ref().is_none_or(|(name, value)| {
            node.attributes().any(|attribute| {
                attribute.namespace().unwrap_or_default() == name.namespace
                    && attribute.name() == name.local
                    && attribute.value() == value
            })
        })
    }
}

impl Name {
    /// Whether an element has this name.
    #[must_use]
    pub fn is(&self, node: Node<'_, '_>) -> bool {
        let name = node.tag_name();
        name.namespace().unwrap_or_default() == self.namespace && name.name() == self.local
    }
}

struct Names<'a> {
    bindings: Vec<(String, String)>,
    default_namespace: &'a str,
}

impl Names<'_> {
    fn step(&self, text: &str) -> Result<Step, InvalidSelector> {
        let end = text.find('[').unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        let name = if name == "*" { None } else { Some(self.of_element(name)?) };
        let mut step = Step { name, position: None, attribute: None };
        while let Some(predicate) = rest.strip_prefix('[') {
            if let Some(test) = predicate.strip_prefix('@') {
                let (name, value) = test.split_once('=').ok_or(InvalidSelector::Malformed)?;
                let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
                let quote = quote.ok_or(InvalidSelector::Malformed)?;
                let value = value.get(1..).unwrap_or_default();
                let (value, behind) = value.split_once(quote).ok_or(InvalidSelector::Malformed)?;
                rest = behind.strip_prefix(']').ok_or(InvalidSelector::Malformed)?;
                if step.attribute.is_some() {
                    return Err(InvalidSelector::Malformed);
                }
                step.attribute = Some((self.of_attribute(name)?, unescaped(value)));
            } else {
                let (number, behind) =
                    predicate.split_once(']').ok_or(InvalidSelector::Malformed)?;
                let position = number.parse().ok().filter(|number| *number > 0);
                // The grammar has a position before an attribute.
                if step.position.is_some() || step.attribute.is_some() {
                    return Err(InvalidSelector::Malformed);
                }
                step.position = Some(position.ok_or(InvalidSelector::Malformed)?);
                rest = behind;
            }
        }
        if rest.is_empty() { Ok(step) } else { Err(InvalidSelector::Malformed) }
    }

    fn of_element(&self, name: &str) -> Result<Name, InvalidSelector> {
        self.expand(name, self.default_namespace)
    }

    fn of_attribute(&self, name: &str) -> Result<Name, InvalidSelector> {
        self.expand(name, "")
    }

    fn expand(&self, name: &str, default: &str) -> Result<Name, InvalidSelector> {
        let (namespace, local) = match name.split_once(':') {
            None => (default.to_owned(), name),
            Some((prefix, local)) => {
                let bound = self.bindings.iter().find(|(known, _)| known == prefix);
                (bound.ok_or(InvalidSelector::UnboundPrefix)?.1.clone(), local)
            }
        };
        let is_name = local.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && local.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
        if is_name {
            Ok(Name { namespace, local: local.to_owned() })
        } else {
            Err(InvalidSelector::Malformed)
        }
    }
}

/// The parts between slashes that do not stand in quotes.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c == '/' => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            None => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

/// The `xmlns(prefix=name)` parts of a query; others are passed over.
fn bindings(query: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some((_, behind)) = rest.split_once("xmlns(") {
        let Some((inside, behind)) = behind.split_once(')') else { break };
        if let Some((prefix, name)) = inside.split_once('=') {
            found.push((prefix.trim().to_owned(), name.trim().to_owned()));
        }
        rest = behind;
    }
    found
}

/// The text of an attribute's value as it stands in a selector (`AttValue`).
fn unescaped(value: &str) -> String {
    value
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

/// Octets for their escapes; none where they are not UTF-8 then.
#[must_use]
pub fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            octets.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            octets.push(octet);
        }
    }
    String::from_utf8(octets).ok()
}
