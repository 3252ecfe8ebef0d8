//! A single pass over the bytes of an XML body before a tree is built from them.
//!
//! Building the tree costs more than linear time in namespace declarations and attributes, and
//! memory in elements; this pass bounds them, and refuses document type declarations (and with
//! them every form of entity expansion) and encodings other than UTF-8.

/// What a body may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the body.
    pub bytes: usize,
    /// Levels of nested elements.
    pub depth: usize,
    /// Namespace declarations, counted over the whole body.
    pub namespaces: usize,
    /// Attributes of one element, namespace declarations included.
    pub attributes: usize,
    /// Nodes of the tree: elements, texts, comments and processing instructions.
    pub nodes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 * 1024, depth: 64, namespaces: 64, attributes: 64, nodes: 16 * 1024 }
    }
}

/// Why a body is refused before it is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing but white space.
    #[error("the body is empty")]
    Empty,
    /// More octets than allowed.
    #[error("the body is larger than {limit} octets")]
    TooLarge {
        /// The limit passed.
        limit: usize,
    },
    /// Not UTF-8, or declared to be something else.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// `<!DOCTYPE` or another markup declaration.
    #[error("document type declarations are not accepted")]
    DocumentType,
    /// Elements nested too deep.
    #[error("elements are nested deeper than {limit} levels")]
    TooDeep {
        /// The limit passed.
        limit: usize,
    },
    /// Too many namespace declarations.
    #[error("more than {limit} namespace declarations")]
    TooManyNamespaces {
        /// The limit passed.
        limit: usize,
    },
    /// Too many attributes in one element.
    #[error("an element has more than {limit} attributes")]
    TooManyAttributes {
        /// The limit passed.
        limit: usize,
    },
    /// `xmlns:p=''`, `xmlns:xmlns` or a name with nothing before its colon (Namespaces in XML 1.0).
    #[error("a namespace prefix is not one that may be used")]
    ForbiddenPrefix,
    /// An XML declaration after the beginning.
    #[error("the XML declaration is not at the beginning")]
    LateDeclaration,
    /// A processing instruction without a proper name.
    #[error("a processing instruction has no proper name")]
    ProcessingInstruction,
}

/// Checks `bytes` against `limits` and returns them as text.
///
/// Well-formedness is left to the parser, but for what the parser lets pass and stricter ones of
/// watchers do not. Up to the first error in the markup, which is as far as the parser will read,
/// every element and attribute is counted.
///
/// # Errors
/// The first limit passed, or the property that makes the body unacceptable.
pub fn check<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str, Refused> {
    if bytes.len() > limits.bytes {
        return Err(Refused::TooLarge { limit: limits.bytes });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Refused::NotUtf8)?;
    let content = text.strip_prefix('\u{feff}').unwrap_or(text);
    if content.trim_ascii().is_empty() {
        return Err(Refused::Empty);
    }
    if !bytes.is_ascii() && declares_other_encoding(content) {
        return Err(Refused::NotUtf8);
    }
    let mut rest = content.as_bytes();
    if let Some(declaration) = rest.strip_prefix(b"<?xml")
        && declaration.first().is_some_and(u8::is_ascii_whitespace)
    {
        rest = past(declaration, b"?>");
    }
    let mut depth = 0_usize;
    let mut namespaces = 0_usize;
    while let Some(at) = rest.iter().position(|&octet| octet == b'<') {
        rest = rest.get(at + 1..).unwrap_or_default();
        match rest.first() {
            Some(b'!') => {
                rest = if let Some(comment) = rest.strip_prefix(b"!--") {
                    past(comment, b"-->")
                } else if let Some(characters) = rest.strip_prefix(b"![CDATA[") {
                    past(characters, b"]]>")
                } else {
                    return Err(Refused::DocumentType);
                };
            }
            Some(b'?') => {
                check_instruction(rest)?;
                rest = past(rest, b"?>");
            }
            Some(b'/') => {
                depth = depth.saturating_sub(1);
                rest = past(rest, b">");
            }
            Some(_) => {
                let tag = StartTag::read(rest, limits)?;
                namespaces += tag.namespaces;
                if namespaces > limits.namespaces {
                    return Err(Refused::TooManyNamespaces { limit: limits.namespaces });
                }
                depth += 1;
                if depth > limits.depth {
                    return Err(Refused::TooDeep { limit: limits.depth });
                }
                if tag.is_empty_element {
                    depth -= 1;
                }
                rest = tag.after;
            }
            None => break,
        }
    }
    Ok(text)
}

/// What follows the first `end` in `octets`; nothing when there is none.
fn past<'a>(octets: &'a [u8], end: &[u8]) -> &'a [u8] {
    octets
        .windows(end.len())
        .position(|window| window == end)
        .and_then(|at| octets.get(at + end.len()..))
        .unwrap_or_default()
}

/// Checks that a processing instruction, from its `?`, begins with a name that it may have.
fn check_instruction(octets: &[u8]) -> Result<(), Refused> {
    let target = octets.split(|octet| b" \t\r\n?".contains(octet)).nth(1).unwrap_or_default();
    let is_name =
        |octet: &u8| octet.is_ascii_alphanumeric() || b"_-.".contains(octet) || !octet.is_ascii();
    if target == b"xml" {
        return Err(Refused::LateDeclaration);
    }
    if target.is_empty() || !target.iter().all(is_name) || target.eq_ignore_ascii_case(b"xml") {
        return Err(Refused::ProcessingInstruction);
    }
    Ok(())
}

/// Whether the XML declaration names an encoding of which UTF-8 is not the decoder.
fn declares_other_encoding(content: &str) -> bool {
    let Some(declaration) = content.strip_prefix("<?xml").and_then(|rest| rest.split("?>").next())
    else {
        return false;
    };
    let Some((_, value)) = declaration.split_once("encoding") else { return false };
    let mut pieces = value.split(['"', '\'']);
    let name = pieces.nth(1).unwrap_or_default();
    !name.eq_ignore_ascii_case("utf-8") && !name.eq_ignore_ascii_case("utf8")
}

/// The part of a start tag that is counted.
struct StartTag<'a> {
    namespaces: usize,
    is_empty_element: bool,
    after: &'a [u8],
}

impl<'a> StartTag<'a> {
    /// Reads the tag whose `<` came before `octets`.
    fn read(octets: &'a [u8], limits: &Limits) -> Result<Self, Refused> {
        let mut attributes = 0_usize;
        let mut namespaces = 0_usize;
        let mut name = 0..0;
        let mut is_in_name = false;
        let mut binds_prefix = false;
        let mut quote = None;
        let mut value_start = 0;
        let mut previous = b'<';
        if octets.first() == Some(&b':') {
            return Err(Refused::ForbiddenPrefix);
        }
        for (at, &octet) in octets.iter().enumerate() {
            if let Some(end) = quote {
                if octet == end {
                    if binds_prefix && at == value_start {
                        return Err(Refused::ForbiddenPrefix);
                    }
                    quote = None;
                }
            } else {
                match octet {
                    b'"' | b'\'' => {
                        quote = Some(octet);
                        value_start = at + 1;
                        is_in_name = false;
                    }
                    b'=' => {
                        attributes += 1;
                        if attributes > limits.attributes {
                            return Err(Refused::TooManyAttributes { limit: limits.attributes });
                        }
                        let name = octets.get(name.clone()).unwrap_or_default();
                        if name == b"xmlns:xmlns" || name.starts_with(b":") {
                            return Err(Refused::ForbiddenPrefix);
                        }
                        binds_prefix = name.starts_with(b"xmlns:");
                        namespaces += usize::from(binds_prefix || name == b"xmlns");
                        is_in_name = false;
                    }
                    b'>' => {
                        let after = octets.get(at + 1..).unwrap_or_default();
                        let is_empty_element = previous == b'/';
                        return Ok(Self { namespaces, is_empty_element, after });
                    }
                    b'/' | b' ' | b'\t' | b'\r' | b'\n' => is_in_name = false,
                    _ => {
                        if !is_in_name {
                            is_in_name = true;
                            name.start = at;
                        }
                        name.end = at + 1;
                    }
                }
            }
            previous = octet;
        }
        Ok(Self { namespaces, is_empty_element: false, after: &[] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(body: &str) -> Result<(), Refused> {
        check(body.as_bytes(), &Limits::default()).map(|_| ())
    }

    #[test]
    fn an_ordinary_document_passes() {
        assert_eq!(verdict("<?xml version='1.0'?><a b='>'><!-- <<< --><c d=\"'\"/></a>"), Ok(()));
    }

    #[test]
    fn nothing_is_refused() {
        assert_eq!(verdict(""), Err(Refused::Empty));
        assert_eq!(verdict("\u{feff} \r\n"), Err(Refused::Empty));
    }

    #[test]
    fn the_size_limit_is_exact() {
        let limits = Limits { bytes: 4, ..Limits::default() };
        assert!(check(b"<a/>", &limits).is_ok());
        assert_eq!(check(b"<ab/>", &limits), Err(Refused::TooLarge { limit: 4 }));
    }

    #[test]
    fn a_document_type_is_refused_but_not_the_word_in_a_comment() {
        assert_eq!(verdict("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>"), Err(Refused::DocumentType));
        assert_eq!(verdict("<a><!-- <!DOCTYPE a> --><![CDATA[<!DOCTYPE a>]]></a>"), Ok(()));
    }

    #[test]
    fn depth_counts_open_elements_only() {
        let limits = Limits { depth: 3, ..Limits::default() };
        assert!(check(b"<a><b><c/><c/></b><b><c></c></b></a>", &limits).is_ok());
        assert_eq!(
            check(b"<a><b><c><d/></c></b></a>", &limits),
            Err(Refused::TooDeep { limit: 3 })
        );
    }

    #[test]
    fn namespace_declarations_are_counted_over_the_document() {
        let limits = Limits { namespaces: 2, ..Limits::default() };
        assert!(check(b"<a xmlns = 'u'><b xmlns:c='u' d='xmlns:e=f'/></a>", &limits).is_ok());
        assert_eq!(
            check(b"<a xmlns='u'><b xmlns:c='u'/><b\nxmlns:d\n= \"u\"/></a>", &limits),
            Err(Refused::TooManyNamespaces { limit: 2 })
        );
    }

    #[test]
    fn attributes_are_counted_per_element() {
        let limits = Limits { attributes: 2, ..Limits::default() };
        assert!(check(b"<a b='1' c='=='><a b='1' c='2'/></a>", &limits).is_ok());
        assert_eq!(
            check(b"<a b='1' c='2' d='3'/>", &limits),
            Err(Refused::TooManyAttributes { limit: 2 })
        );
    }

    #[test]
    fn prefixes_that_may_not_be_used_are_refused() {
        assert_eq!(verdict("<a xmlns:b=''/>"), Err(Refused::ForbiddenPrefix));
        for body in ["<a xmlns:xmlns='u'/>", "<:a/>", "<a :b = 'c'/>"] {
            assert_eq!(verdict(body), Err(Refused::ForbiddenPrefix), "{body}");
        }
        assert_eq!(verdict("<a xmlns='' b=''/>"), Ok(()));
    }

    #[test]
    fn processing_instructions_need_a_proper_name() {
        assert_eq!(verdict("<?xml version='1.0'?><?x-y <z> ?><a><?b?></a>"), Ok(()));
        for instruction in ["<?XML x?>", "<?a:b c?>", "<?a/>?>", "<? a?>", "<??>", "<?a&?>"] {
            assert_eq!(verdict(instruction), Err(Refused::ProcessingInstruction), "{instruction}");
        }
        assert_eq!(verdict("<?xml\nversion='1.0'?><a/>"), Ok(()));
        assert_eq!(verdict(" <?xml version='1.0'?><a/>"), Err(Refused::LateDeclaration));
    }

    #[test]
    fn other_encodings_are_refused_once_they_matter() {
        assert_eq!(check(&[0xff, 0xfe, b'<', 0], &Limits::default()), Err(Refused::NotUtf8));
        assert_eq!(verdict("<?xml version='1.0' encoding='ISO-8859-1'?><a/>"), Ok(()));
        assert_eq!(
            verdict("<?xml version='1.0' encoding='ISO-8859-1'?><a>\u{e9}</a>"),
            Err(Refused::NotUtf8)
        );
        assert_eq!(verdict("<?xml version='1.0' encoding=\"utf-8\"?><a>\u{e9}</a>"), Ok(()));
    }

    #[test]
    fn unfinished_markup_is_left_to_the_parser() {
        for body in ["<", "<a", "<a b='", "<!--", "<![CDATA[", "<?b", "</", "<a b=1"] {
            assert_eq!(verdict(body), Ok(()), "{body}");
        }
    }
}
