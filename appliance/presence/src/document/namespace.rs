//! The namespaces whose elements are understood, and the prefix each has in what is composed.

/// The namespace bound to `xml` in every document.
pub(crate) const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// A namespace whose elements are re-rendered with a fixed prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// RFC 3863; the default namespace of a composed document.
    Pidf,
    /// RFC 4479.
    DataModel,
    /// RFC 4480.
    Rpid,
    /// RFC 4482.
    Cipid,
    /// RFC 5196.
    Caps,
}

impl Known {
    /// Those that have a prefix, in the order of their declarations.
    pub(crate) const PREFIXED: [Self; 4] = [Self::DataModel, Self::Rpid, Self::Cipid, Self::Caps];

    /// The namespace with this name, if it is a known one.
    pub(crate) fn of(name: Option<&str>) -> Option<Self> {
        let name = name?;
        [Self::Pidf, Self::DataModel, Self::Rpid, Self::Cipid, Self::Caps]
            .into_iter()
            .find(|known| known.name() == name)
    }

    /// The namespace name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pidf => "urn:ietf:params:xml:ns:pidf",
            Self::DataModel => "urn:ietf:params:xml:ns:pidf:data-model",
            Self::Rpid => "urn:ietf:params:xml:ns:pidf:rpid",
            Self::Cipid => "urn:ietf:params:xml:ns:pidf:cipid",
            Self::Caps => "urn:ietf:params:xml:ns:pidf:caps",
        }
    }

    /// Its prefix in a composed document; empty for the default namespace.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Pidf => "",
            Self::DataModel => "dm",
            Self::Rpid => "rpid",
            Self::Cipid => "cipid",
            Self::Caps => "caps",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Pidf => 0,
            Self::DataModel => 1,
            Self::Rpid => 2,
            Self::Cipid => 4,
            Self::Caps => 8,
        }
    }
}

/// The known namespaces that a rendered piece needs declared around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Needed(u8);

impl Needed {
    /// None.
    pub(crate) const fn new() -> Self {
        Self(0)
    }

    /// Adds one.
    pub(crate) const fn add(&mut self, known: Known) {
        self.0 |= known.bit();
    }

    /// Adds those of another piece.
    pub(crate) const fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether this one is needed.
    pub(crate) const fn has(self, known: Known) -> bool {
        self.0 & known.bit() != 0
    }
}
