//! The application usages that are served (RFC 4825 §5).

/// An application usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Usage {
    /// What the server can do (RFC 4825 §12); read only.
    XcapCaps,
    /// Lists of contacts (RFC 4826 §3).
    ResourceLists,
    /// Lists that can be subscribed to (RFC 4826 §4).
    RlsServices,
    /// Who may see what (RFC 5025 §9).
    PresRules,
    /// The same under the name that OMA gave it.
    OmaPresRules,
    /// Presence that holds until it is changed (RFC 4827).
    PidfManipulation,
}

impl Usage {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::XcapCaps,
        Self::ResourceLists,
        Self::RlsServices,
        Self::PresRules,
        Self::OmaPresRules,
        Self::PidfManipulation,
    ];

    /// The application unique id, as it stands in a path.
    #[must_use]
    pub const fn auid(self) -> &'static str {
        match self {
            Self::XcapCaps => "xcap-caps",
            Self::ResourceLists => "resource-lists",
            Self::RlsServices => "rls-services",
            Self::PresRules => "pres-rules",
            Self::OmaPresRules => "org.openmobilealliance.pres-rules",
            Self::PidfManipulation => "pidf-manipulation",
        }
    }

    /// The usage of an application unique id.
    #[must_use]
    pub fn of(auid: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|usage| usage.auid() == auid)
    }

    /// The media type of its documents.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::XcapCaps => "application/xcap-caps+xml",
            Self::ResourceLists => "application/resource-lists+xml",
            Self::RlsServices => "application/rls-services+xml",
            Self::PresRules | Self::OmaPresRules => "application/auth-policy+xml",
            Self::PidfManipulation => "application/pidf+xml",
        }
    }

    /// The namespace of names without a prefix in a node selector.
    #[must_use]
    pub const fn default_namespace(self) -> &'static str {
        match self {
            Self::XcapCaps => "urn:ietf:params:xml:ns:xcap-caps",
            Self::ResourceLists => "urn:ietf:params:xml:ns:resource-lists",
            Self::RlsServices => "urn:ietf:params:xml:ns:rls-services",
            Self::PresRules => "urn:ietf:params:xml:ns:pres-rules",
            Self::OmaPresRules => "urn:ietf:params:xml:ns:common-policy",
            Self::PidfManipulation => "urn:ietf:params:xml:ns:pidf",
        }
    }

    /// What stands for the usage in the key of a record.
    #[must_use]
    pub(crate) const fn letter(self) -> u8 {
        match self {
            Self::XcapCaps => b'c',
            Self::ResourceLists => b'l',
            Self::RlsServices => b's',
            Self::PresRules => b'r',
            Self::OmaPresRules => b'o',
            Self::PidfManipulation => b'p',
        }
    }

    pub(crate) fn of_letter(letter: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|usage| usage.letter() == letter)
    }
}

/// The document of [`Usage::XcapCaps`].
#[must_use]
pub fn capabilities() -> String {
    let mut document = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <xcap-caps xmlns=\"urn:ietf:params:xml:ns:xcap-caps\"><auids>",
    );
    for usage in Usage::ALL {
        document.push_str("<auid>");
        document.push_str(usage.auid());
        document.push_str("</auid>");
    }
    document.push_str("</auids><namespaces>");
    for namespace in [
        "urn:ietf:params:xml:ns:xcap-caps",
        "urn:ietf:params:xml:ns:xcap-error",
        "urn:ietf:params:xml:ns:resource-lists",
        "urn:ietf:params:xml:ns:rls-services",
        "urn:ietf:params:xml:ns:common-policy",
        "urn:ietf:params:xml:ns:pres-rules",
        "urn:ietf:params:xml:ns:pidf",
    ] {
        document.push_str("<namespace>");
        document.push_str(namespace);
        document.push_str("</namespace>");
    }
    document.push_str("</namespaces></xcap-caps>");
    document
}
