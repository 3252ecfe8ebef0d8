//! Presence documents for tests: written from RFC 3863, 4479 and 4480, read with an XML reader.

use crate::wire::Message;

/// One tuple of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuple {
    /// Its id.
    pub id: String,
    /// `open` or `closed`, when it says so.
    pub basic: Option<String>,
    /// Its contact.
    pub contact: Option<String>,
    /// Its notes.
    pub notes: Vec<String>,
}

/// A document, as far as tests look.
#[derive(Debug, Clone)]
pub struct Presence {
    /// Whose.
    pub entity: String,
    /// Its tuples.
    pub tuples: Vec<Tuple>,
    /// All its text and markup.
    pub text: String,
}

impl Presence {
    /// Reads the body of a NOTIFY, which must be a valid presence document.
    #[track_caller]
    pub fn of(notify: &Message) -> Self {
        let content_type = notify.expect_header("Content-Type");
        assert!(content_type.starts_with("application/pidf+xml"), "body of {content_type}");
        Self::read(&notify.text())
    }

    /// Reads a document.
    #[track_caller]
    pub fn read(text: &str) -> Self {
        let document = roxmltree::Document::parse(text)
            .unwrap_or_else(|e| panic!("not well-formed: {e}\n{text}"));
        let root = document.root_element();
        assert_eq!(root.tag_name().name(), "presence", "{text}");
        assert_eq!(root.tag_name().namespace(), Some(NAMESPACE), "{text}");
        let child = |node: roxmltree::Node<'_, '_>, name: &str| {
            let mut all = node.descendants();
            all.find(|n| n.has_tag_name((NAMESPACE, name)))
                .and_then(|n| n.text())
                .map(|t| t.trim().to_owned())
        };
        let tuples = root
            .children()
            .filter(|n| n.has_tag_name((NAMESPACE, "tuple")))
            .map(|t| Tuple {
                id: t.attribute("id").expect("a tuple has an id").to_owned(),
                basic: child(t, "basic"),
                contact: child(t, "contact"),
                notes: t
                    .children()
                    .filter(|n| n.has_tag_name((NAMESPACE, "note")))
                    .filter_map(|n| n.text().map(str::to_owned))
                    .collect(),
            })
            .collect();
        let entity = root.attribute("entity").expect("presence has an entity").to_owned();
        Self { entity, tuples, text: text.to_owned() }
    }

    /// Whether some tuple is open.
    pub fn is_open(&self) -> bool {
        self.tuples.iter().any(|t| t.basic.as_deref() == Some("open"))
    }
}

/// The namespace of RFC 3863.
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:pidf";

/// A document with one tuple.
pub fn document(aor: &str, tuple: &str, basic: &str, note: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
         <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"{aor}\">\r\n\
         <tuple id=\"{tuple}\"><status><basic>{basic}</basic></status>\
         <contact priority=\"0.8\">{aor}</contact><note>{note}</note></tuple>\r\n\
         </presence>\r\n"
    )
}

/// An open tuple with a note.
pub fn open(aor: &str, note: &str) -> String {
    document(aor, "t1", "open", note)
}

/// A document of the data model: a service on a device, and what the person does.
pub fn of_device(aor: &str, device: &str, basic: &str, activity: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
         <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" \
         xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" entity=\"{aor}\">\r\n\
         <tuple id=\"{device}\"><status><basic>{basic}</basic></status>\
         <dm:deviceID>urn:x-mac:{device}</dm:deviceID>\
         <contact>{aor}</contact></tuple>\r\n\
         <dm:person id=\"p-{device}\"><rpid:activities><rpid:{activity}/></rpid:activities>\
         </dm:person>\r\n\
         <dm:device id=\"d-{device}\"><dm:deviceID>urn:x-mac:{device}</dm:deviceID></dm:device>\
         \r\n</presence>\r\n"
    )
}
