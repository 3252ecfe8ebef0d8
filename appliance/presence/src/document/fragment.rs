//! Renders elements of a published document so that they can stand in any other.
//!
//! Elements of known namespaces are written anew with fixed prefixes, without comments and white
//! space between elements. An element of any other namespace is copied octet for octet with all
//! that is in it, and given the namespace declarations that it used from around it.

mod foreign;

use std::borrow::Cow;

use roxmltree::Node;

use self::foreign::{ForeignTag, has_unprefixed_element, mentions};
use super::namespace::{self, Known, Needed};

/// A rendered element and the namespaces it needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Fragment {
    /// The text.
    pub(crate) xml: Box<str>,
    /// To be declared around it.
    pub(crate) needed: Needed,
}

/// A rendered element whose id can be replaced: what follows the id's closing quote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Identified {
    /// The id that it has unless another element of the composed document has it already.
    pub(crate) id: Box<str>,
    /// The rest of the element.
    pub(crate) rest: Fragment,
}

impl Identified {
    /// Gives a rendered rest the published id, made a valid one if it is not.
    pub(crate) fn new(id: &str, rest: Fragment) -> Self {
        Self { id: valid_id(id), rest }
    }
}

/// `id` as an `xs:ID`: a name without colon, which many clients do not send.
fn valid_id(id: &str) -> Box<str> {
    let may_begin = |c: char| c.is_ascii_alphabetic() || c == '_';
    let may_follow = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if id.starts_with(may_begin) && id.chars().all(may_follow) {
        return id.into();
    }
    let mut valid = String::with_capacity(id.len() + 1);
    if !id.starts_with(may_begin) {
        valid.push('_');
    }
    valid.extend(id.chars().map(|c| if may_follow(c) { c } else { '_' }));
    valid.into()
}

/// The elements directly inside an element.
pub(crate) fn elements<'a, 'input: 'a>(
    element: Node<'a, 'input>,
) -> impl Iterator<Item = Node<'a, 'input>> {
    element.children().filter(Node::is_element)
}

/// Whether an element is of this namespace.
pub(crate) fn is_known(element: Node<'_, '_>, known: Known) -> bool {
    element.tag_name().namespace() == Some(known.name())
}

/// The value of an attribute without a namespace.
///
/// (`Node::attribute` takes an attribute of that name from any namespace.)
pub(crate) fn attribute_of<'a>(element: Node<'a, '_>, name: &str) -> Option<&'a str> {
    element
        .attributes()
        .find(|attribute| attribute.namespace().is_none() && attribute.name() == name)
        .map(|attribute| attribute.value())
}

/// The characters of an element; `None` when it holds elements.
pub(crate) fn text_of<'a>(element: Node<'a, '_>) -> Option<Cow<'a, str>> {
    let mut text = Cow::Borrowed("");
    for child in element.children() {
        if child.is_element() {
            return None;
        }
        if let Some(piece) = child.text().filter(|_| child.is_text()) {
            if text.is_empty() {
                text = Cow::Borrowed(piece);
            } else {
                text.to_mut().push_str(piece);
            }
        }
    }
    Some(text)
}

/// Writes elements of one document into a string.
#[derive(Debug)]
pub(crate) struct Renderer<'a> {
    source: &'a str,
    out: String,
    needed: Needed,
    /// `xml:lang` of the root element, where nothing inside it has said otherwise.
    language: Option<&'a str>,
    /// What may still be written. A long namespace name or language given once and used by many
    /// small elements is repeated with each of them, so what is sent does not bound it.
    budget: usize,
}

impl<'a> Renderer<'a> {
    /// Starts with nothing; `source` is the text that the nodes were parsed from.
    pub(crate) const fn new(source: &'a str, language: Option<&'a str>, budget: usize) -> Self {
        Self { source, out: String::new(), needed: Needed::new(), language, budget }
    }

    /// Whether more was to be written than the budget allows; then attributes were left out.
    pub(crate) const fn is_exhausted(&self) -> bool {
        self.out.len() > self.budget
    }

    /// Ends the fragment and starts another.
    pub(crate) fn take(&mut self) -> Fragment {
        let fragment =
            Fragment { xml: self.out.as_str().into(), needed: std::mem::take(&mut self.needed) };
        if !self.is_exhausted() {
            self.budget -= self.out.len();
            self.out.clear();
        }
        fragment
    }

    /// Writes markup.
    pub(crate) fn markup(&mut self, markup: &str) {
        self.out.push_str(markup);
    }

    /// Writes characters.
    pub(crate) fn characters(&mut self, characters: &str) {
        push_text(&mut self.out, characters);
    }

    /// Notes that what was written as markup needs a namespace.
    pub(crate) const fn need(&mut self, known: Known) {
        self.needed.add(known);
    }

    /// Writes an element that holds these characters and nothing else.
    pub(crate) fn simple(&mut self, element: Node<'_, 'a>, known: Known, characters: &str) {
        self.start(element, known);
        self.out.push('>');
        self.characters(characters);
        self.end(element, known);
    }

    /// Writes an element and all in it.
    pub(crate) fn element(&mut self, element: Node<'_, 'a>) {
        match Known::of(element.tag_name().namespace()) {
            Some(known) => self.known(element, known),
            None => self.foreign(element),
        }
    }

    fn known(&mut self, element: Node<'_, 'a>, known: Known) {
        self.start(element, known);
        let language = self.language;
        if element.has_attribute((namespace::XML, "lang")) {
            self.language = None;
        }
        let has_elements = element.children().any(|child| child.is_element());
        let before = self.out.len();
        self.out.push('>');
        for child in element.children() {
            if child.is_element() {
                self.element(child);
            } else if let Some(text) = child.text().filter(|_| child.is_text())
                && !(has_elements && text.trim_ascii().is_empty())
            {
                self.characters(text);
            }
        }
        self.language = language;
        if self.out.len() == before + 1 {
            self.out.truncate(before);
            self.out.push_str("/>");
        } else {
            self.end(element, known);
        }
    }

    /// Writes `<name` and the attributes.
    pub(crate) fn start(&mut self, element: Node<'_, 'a>, known: Known) {
        self.out.push('<');
        self.name(element, known);
        self.attributes(element, None);
        let is_note = element.tag_name().name() == "note";
        if let Some(language) = self.language
            && is_note
            && !element.has_attribute((namespace::XML, "lang"))
        {
            self.attribute("xml:lang", language);
        }
    }

    /// Writes the end tag.
    pub(crate) fn end(&mut self, element: Node<'_, 'a>, known: Known) {
        self.out.push_str("</");
        self.name(element, known);
        self.out.push('>');
    }

    fn name(&mut self, element: Node<'_, 'a>, known: Known) {
        self.needed.add(known);
        if !known.prefix().is_empty() {
            self.out.push_str(known.prefix());
            self.out.push(':');
        }
        self.out.push_str(element.tag_name().name());
    }

    /// Writes the attributes, except one without a prefix.
    pub(crate) fn attributes(&mut self, element: Node<'_, 'a>, except: Option<&str>) {
        let mut declared: Vec<Cow<'_, str>> = Vec::new();
        for attribute in element.attributes() {
            let local = attribute.name();
            let Some(uri) = attribute.namespace() else {
                if except != Some(local) {
                    self.attribute(local, attribute.value());
                }
                continue;
            };
            if uri == namespace::XML {
                self.attribute(&format!("xml:{local}"), attribute.value());
                continue;
            }
            let prefix = match Known::of(Some(uri)) {
                // The default namespace does not apply to attributes.
                Some(Known::Pidf) | None => own_prefix(element, uri),
                Some(known) => {
                    self.needed.add(known);
                    self.attribute(&format!("{}:{local}", known.prefix()), attribute.value());
                    continue;
                }
            };
            if !declared.contains(&prefix) {
                self.attribute(&format!("xmlns:{prefix}"), uri);
                declared.push(prefix.clone());
            }
            self.attribute(&format!("{prefix}:{local}"), attribute.value());
        }
    }

    fn attribute(&mut self, name: &str, value: &str) {
        // Only attributes are ever written more often than they were sent.
        if !self.is_exhausted() {
            push_attribute(&mut self.out, name, value);
        }
    }

    fn foreign(&mut self, element: Node<'_, 'a>) {
        let raw = self.source.get(element.range()).unwrap_or_default();
        let tag = ForeignTag::read(raw);
        let Some((opening, rest)) = raw.split_at_checked(tag.name_end) else { return };
        self.out.push_str(opening);
        for bound in element.namespaces() {
            let uri = bound.uri();
            match bound.name() {
                Some("xml") => {}
                Some(prefix) => {
                    if !tag.declares(prefix) && mentions(raw, prefix) {
                        self.attribute(&format!("xmlns:{prefix}"), uri);
                    }
                }
                None => {
                    if !tag.declares("") && uri != Known::Pidf.name() {
                        self.attribute("xmlns", uri);
                    }
                }
            }
        }
        let has_default = element.namespaces().any(|bound| bound.name().is_none());
        if !has_default && !tag.declares("") && has_unprefixed_element(raw) {
            self.attribute("xmlns", "");
        }
        if let Some(language) = self.language
            && !element.has_attribute((namespace::XML, "lang"))
        {
            self.attribute("xml:lang", language);
        }
        self.out.push_str(rest);
    }
}

/// The prefix of an attribute's namespace, changed when it is one of the fixed prefixes.
fn own_prefix<'a>(element: Node<'_, 'a>, uri: &str) -> Cow<'a, str> {
    let bound = || element.namespaces().filter_map(|bound| Some((bound.name()?, bound.uri())));
    let prefix = bound().find(|(_, name)| *name == uri).map_or("ns", |(prefix, _)| prefix);
    let mut prefix = Cow::Borrowed(prefix);
    let is_fixed = |prefix: &str| Known::PREFIXED.into_iter().any(|known| known.prefix() == prefix);
    while is_fixed(&prefix) || bound().any(|(taken, name)| taken == prefix && name != uri) {
        prefix.to_mut().push('_');
    }
    prefix
}

/// Writes characters so that they mean themselves between tags.
pub(crate) fn push_text(out: &mut String, characters: &str) {
    push_escaped(out, characters, b"&<>\r");
}

/// Writes characters so that they mean themselves between double quotes.
fn push_value(out: &mut String, characters: &str) {
    push_escaped(out, characters, b"&<>\"\t\n\r");
}

fn push_escaped(out: &mut String, characters: &str, special: &[u8]) {
    let mut rest = characters;
    // All that is special is ASCII.
    let is_special = |byte: u8| special.contains(&byte);
    while let Some((plain, from)) =
        rest.bytes().position(is_special).and_then(|at| rest.split_at_checked(at))
    {
        out.push_str(plain);
        let mut following = from.chars();
        match following.next() {
            Some('&') => out.push_str("&amp;"),
            Some('<') => out.push_str("&lt;"),
            Some('>') => out.push_str("&gt;"),
            Some('"') => out.push_str("&quot;"),
            Some('\t') => out.push_str("&#9;"),
            Some('\n') => out.push_str("&#10;"),
            Some('\r') => out.push_str("&#13;"),
            other => out.extend(other),
        }
        rest = following.as_str();
    }
    out.push_str(rest);
}

/// The attribute `name="value"` with a space before it.
pub(crate) fn push_attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    push_value(out, value);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renders the first child of the root, then wraps it the way a composed document would.
    fn rendered(source: &str) -> String {
        let document = roxmltree::Document::parse(source).unwrap();
        let language = document.root_element().attribute((namespace::XML, "lang"));
        let mut renderer = Renderer::new(source, language, 1_000);
        renderer.element(document.root_element().first_element_child().unwrap());
        renderer.take().xml.into()
    }

    const PIDF: &str = "xmlns='urn:ietf:params:xml:ns:pidf'";
    const RPID: &str = "xmlns:q='urn:ietf:params:xml:ns:pidf:rpid'";

    #[test]
    fn known_elements_get_the_fixed_prefix_and_lose_idle_white_space() {
        assert_eq!(
            rendered(&format!(
                "<a {PIDF} {RPID}>\n<q:mood  x = 'y'>\n <q:angry ></q:angry><!-- c --> </q:mood></a>"
            )),
            "<rpid:mood x=\"y\"><rpid:angry/></rpid:mood>"
        );
    }

    #[test]
    fn characters_mean_the_same_afterwards() {
        assert_eq!(
            rendered(&format!(
                "<a {PIDF}><note x='&quot;&#10;&lt;'>a&amp;b<![CDATA[<c>]]>\"\n&#13;</note></a>"
            )),
            "<note x=\"&quot;&#10;&lt;\">a&amp;b&lt;c&gt;\"\n&#13;</note>"
        );
    }

    #[test]
    fn foreign_elements_are_copied_with_the_declarations_they_use() {
        assert_eq!(
            rendered(&format!(
                "<a {PIDF} {RPID} xmlns:u='urn:u' xmlns:v='urn:v' xmlns:w='urn:w'>\
                 <u:b  c='1' d=\"v:name\"> <q:x/><!-- kept --><![CDATA[&]]></u:b></a>"
            )),
            "<u:b xmlns:q=\"urn:ietf:params:xml:ns:pidf:rpid\" xmlns:u=\"urn:u\" xmlns:v=\"urn:v\"  \
             c='1' d=\"v:name\"> <q:x/><!-- kept --><![CDATA[&]]></u:b>"
        );
    }

    #[test]
    fn declarations_on_the_element_itself_are_not_repeated() {
        assert_eq!(
            rendered(&format!("<a {PIDF} xmlns:u='urn:1'><u:b xmlns:u = 'urn:2' c='>'/></a>")),
            "<u:b xmlns:u = 'urn:2' c='>'/>"
        );
    }

    #[test]
    fn the_default_namespace_of_a_foreign_element_is_kept() {
        let pidf = "xmlns:p='urn:ietf:params:xml:ns:pidf'";
        assert_eq!(rendered(&format!("<p:a {pidf}><b/></p:a>")), "<b xmlns=\"\"/>");
        assert_eq!(
            rendered(&format!("<p:a {pidf} xmlns='urn:d'><b/></p:a>")),
            "<b xmlns=\"urn:d\"/>"
        );
        assert_eq!(
            rendered(&format!("<p:a {pidf} xmlns:u='urn:u'><u:b/></p:a>")),
            "<u:b xmlns:u=\"urn:u\"/>"
        );
    }

    #[test]
    fn attributes_of_other_namespaces_bring_their_declaration() {
        assert_eq!(
            rendered(&format!(
                "<a {PIDF} {RPID} xmlns:u='urn:u'><q:mood u:x='1' u:y='2' q:z='3'/></a>"
            )),
            "<rpid:mood xmlns:u=\"urn:u\" u:x=\"1\" u:y=\"2\" rpid:z=\"3\"/>"
        );
    }

    #[test]
    fn a_fixed_prefix_bound_to_something_else_is_renamed() {
        assert_eq!(
            rendered(&format!(
                "<a {PIDF} {RPID} xmlns:rpid='urn:u' xmlns:rpid_='urn:v'>\
                 <q:mood rpid:x='1'><rpid:y/></q:mood></a>"
            )),
            "<rpid:mood xmlns:rpid__=\"urn:u\" rpid__:x=\"1\"><rpid:y xmlns:rpid=\"urn:u\"/></rpid:mood>"
        );
    }

    #[test]
    fn the_language_of_the_root_goes_to_notes_and_foreign_elements() {
        let root = format!("<a {PIDF} {RPID} xmlns:u='urn:u' xml:lang='de'>");
        assert_eq!(
            rendered(&format!("{root}<note>x</note></a>")),
            "<note xml:lang=\"de\">x</note>"
        );
        assert_eq!(
            rendered(&format!("{root}<q:mood><q:note xml:lang='fr'>x</q:note><u:b/></q:mood></a>")),
            "<rpid:mood><rpid:note xml:lang=\"fr\">x</rpid:note>\
             <u:b xmlns:u=\"urn:u\" xml:lang=\"de\"/></rpid:mood>"
        );
    }
}
