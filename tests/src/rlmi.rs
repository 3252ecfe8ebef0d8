//! Notifications about lists (RFC 4662 §5) as a watcher reads them.

use std::collections::BTreeMap;

use crate::wire::message::Message;

/// What one NOTIFY says about a list.
#[derive(Debug, Clone)]
pub struct ListNotice {
    /// The list's URI.
    pub uri: String,
    /// Counts the NOTIFYs.
    pub version: u32,
    /// Whether everybody is in it.
    pub is_full: bool,
    /// Names of the list.
    pub names: Vec<String>,
    /// The members by URI.
    pub members: BTreeMap<String, Resource>,
    /// Octets of the body as sent.
    pub octets: usize,
}

/// What is said of one member.
#[derive(Debug, Clone)]
pub struct Resource {
    /// What the list calls it.
    pub name: Option<String>,
    /// `active`, `pending`, `terminated`; empty where nothing is known.
    pub state: String,
    /// Why it is terminated.
    pub reason: Option<String>,
    /// The document, where there is one.
    pub document: Option<String>,
}

impl ListNotice {
    /// Reads a NOTIFY.
    #[track_caller]
    pub fn of(notify: &Message) -> Self {
        let media = notify.expect_header("Content-Type");
        assert!(media.starts_with("multipart/related"), "{notify}");
        let quoted = |name: &str| {
            let (_, behind) = media.split_once(&format!("{name}=\"")).expect(name);
            behind.split('"').next().expect(name).to_owned()
        };
        let (boundary, start) = (quoted("boundary"), quoted("start"));
        let body = match notify.header("Content-Encoding") {
            Some("deflate") => {
                miniz_oxide::inflate::decompress_to_vec_zlib(&notify.body).expect("deflated")
            }
            Some(other) => panic!("encoded as {other}"),
            None => notify.body.clone(),
        };
        let text = String::from_utf8(body).expect("UTF-8");
        let parts = parts(&text, &boundary);
        let root = &parts.get(start.as_str()).expect("the part that start names").1;
        let tree = roxmltree::Document::parse(root).expect("RLMI");
        let list = tree.root_element();
        let namespace = "urn:ietf:params:xml:ns:rlmi";
        assert!(list.has_tag_name((namespace, "list")), "{root}");
        let names = |node: roxmltree::Node<'_, '_>| -> Vec<String> {
            node.children()
                .filter(|child| child.has_tag_name((namespace, "name")))
                .map(|child| child.text().unwrap_or_default().to_owned())
                .collect()
        };
        let mut members = BTreeMap::new();
        for resource in list.children().filter(|c| c.has_tag_name((namespace, "resource"))) {
            let instance =
                resource.children().find(|child| child.has_tag_name((namespace, "instance")));
            let attribute = |name| instance.and_then(|i| i.attribute(name)).map(str::to_owned);
            let document = attribute("cid").map(|cid| {
                let (media, document) = parts.get(format!("<{cid}>").as_str()).expect("a part");
                assert!(media.starts_with("application/pidf+xml"), "{media}");
                document.clone()
            });
            let uri = resource.attribute("uri").expect("a URI").to_owned();
            let read = Resource {
                name: names(resource).into_iter().next(),
                state: attribute("state").unwrap_or_default(),
                reason: attribute("reason"),
                document,
            };
            assert!(members.insert(uri, read).is_none(), "twice: {root}");
        }
        Self {
            uri: list.attribute("uri").expect("uri").to_owned(),
            version: list.attribute("version").expect("version").parse().expect("a number"),
            is_full: list.attribute("fullState") == Some("true"),
            names: names(list),
            members,
            octets: notify.body.len(),
        }
    }

    /// What is said of a member.
    #[track_caller]
    pub fn member(&self, uri: &str) -> &Resource {
        self.members.get(uri).unwrap_or_else(|| panic!("{uri} is not in {self:#?}"))
    }

    /// The document of a member.
    #[track_caller]
    pub fn document(&self, uri: &str) -> &str {
        self.member(uri).document.as_deref().unwrap_or_else(|| panic!("{uri}: {self:#?}"))
    }
}

/// The parts of a body by their Content-ID, each with its media type.
fn parts<'a>(text: &'a str, boundary: &str) -> BTreeMap<&'a str, (&'a str, String)> {
    let delimiter = format!("--{boundary}");
    let mut found = BTreeMap::new();
    let mut pieces = text.split(&delimiter);
    pieces.next();
    for piece in pieces {
        if piece.starts_with("--") {
            break;
        }
        let (head, body) = piece.split_once("\r\n\r\n").expect("a head");
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let id = header("Content-ID").expect("a Content-ID");
        let body = body.strip_suffix("\r\n").expect("a line end before the boundary");
        found.insert(id, (header("Content-Type").expect("a type"), body.to_owned()));
    }
    found
}
