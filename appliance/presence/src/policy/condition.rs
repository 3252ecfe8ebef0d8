//! When a rule applies (RFC 4745 §7, OMA XDM common policy).

use roxmltree::Node;
use sip::aor::Aor;
use sip::clock::WallTime;

use super::ruleset::InvalidRules;
use super::{Circumstances, namespace};
use crate::document::fragment::{attribute_of, elements, text_of};
use crate::document::timestamp;

/// One condition; all of a rule must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Any of these says who the watcher is.
    Identity(Vec<Who>),
    /// The presentity is in one of these spheres.
    Sphere(Vec<String>),
    /// It is now within one of these spans, the end excluded.
    Validity(Vec<(WallTime, WallTime)>),
    /// The watcher is a member of one of these lists (OMA `external-list`).
    Listed(Vec<String>),
    /// No other rule says who the watcher is (OMA `other-identity`).
    OtherIdentity,
    /// The watcher has no identity (OMA `anonymous-request`).
    Anonymous,
    /// One that is not known: it never holds (RFC 4745 §7).
    Unknown,
}

/// A child of `identity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// This one; none when the URI is of a kind that no watcher of ours has.
    One(Option<Aor>),
    /// Everybody of a domain, or everybody who has an identity, but for the exceptions.
    Many {
        /// The domain, in lower case.
        domain: Option<String>,
        /// Who is not meant.
        except: Vec<Except>,
    },
    /// One that is not known: nobody.
    Unknown,
}

/// An exception of `many`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Except {
    /// This one.
    One(Option<Aor>),
    /// Everybody of this domain, in lower case.
    Domain(String),
}

impl Who {
    fn is(&self, watcher: &Aor) -> bool {
        match self {
            Self::One(one) => one.as_ref() == Some(watcher),
            Self::Many { domain, except } => {
                domain.as_deref().is_none_or(|domain| domain == watcher.domain())
                    && !except.iter().any(|except| match except {
                        Except::One(one) => one.as_ref() == Some(watcher),
                        Except::Domain(domain) => domain == watcher.domain(),
                    })
            }
            Self::Unknown => false,
        }
    }
}

impl Condition {
    /// Whether it holds; [`Self::OtherIdentity`] is judged over all rules and holds here.
    pub(super) fn holds(&self, now: &Circumstances<'_>) -> bool {
        match self {
            Self::Identity(who) => {
                now.watcher.is_some_and(|watcher| who.iter().any(|who| who.is(watcher)))
                    || (who.is_empty() && now.watcher.is_none())
            }
            Self::Sphere(spheres) => now.sphere.is_some_and(|sphere| {
                spheres.iter().any(|one| one.to_lowercase() == sphere.to_lowercase())
            }),
            Self::Validity(spans) => {
                spans.iter().any(|(from, until)| *from <= now.now && now.now < *until)
            }
            Self::Listed(lists) => now
                .watcher
                .is_some_and(|watcher| lists.iter().any(|list| (now.is_listed)(list, watcher))),
            Self::OtherIdentity => now.watcher.is_some(),
            Self::Anonymous => now.watcher.is_none(),
            Self::Unknown => false,
        }
    }

    /// Whether it says who the watcher is.
    pub(super) const fn is_about_identity(&self) -> bool {
        matches!(self, Self::Identity(_) | Self::Listed(_))
    }

    pub(super) fn read(element: Node<'_, '_>) -> Result<Self, InvalidRules> {
        let name = element.tag_name();
        Ok(match (name.namespace(), name.name()) {
            (Some(namespace::COMMON), "identity") => {
                Self::Identity(elements(element).map(read_who).collect::<Result<_, _>>()?)
            }
            (Some(namespace::COMMON), "sphere") => {
                let value = required(element, "value")?;
                Self::Sphere(value.split_ascii_whitespace().map(str::to_owned).collect())
            }
            (Some(namespace::COMMON), "validity") => Self::Validity(read_validity(element)?),
            (Some(namespace::OMA_COMMON), "external-list") => {
                let entries = elements(element).filter(|child| child.tag_name().name() == "entry");
                Self::Listed(
                    entries
                        .map(|entry| required(entry, "anc").map(str::to_owned))
                        .collect::<Result<_, _>>()?,
                )
            }
            (Some(namespace::OMA_COMMON), "other-identity") => Self::OtherIdentity,
            (Some(namespace::OMA_COMMON), "anonymous-request") => Self::Anonymous,
            _ => Self::Unknown,
        })
    }
}

fn read_who(element: Node<'_, '_>) -> Result<Who, InvalidRules> {
    if element.tag_name().namespace() != Some(namespace::COMMON) {
        return Ok(Who::Unknown);
    }
    match element.tag_name().name() {
        "one" => Ok(Who::One(identity(required(element, "id")?))),
        "many" => {
            let children = elements(element)
                .filter(|child| child.tag_name().namespace() == Some(namespace::COMMON));
            let except = children.map(read_except).collect::<Result<_, _>>()?;
            Ok(Who::Many { domain: attribute_of(element, "domain").map(domain), except })
        }
        other => Err(InvalidRules::new(format!("identity has no child {other}"))),
    }
}

fn read_except(element: Node<'_, '_>) -> Result<Except, InvalidRules> {
    if element.tag_name().name() != "except" {
        let found = element.tag_name().name();
        return Err(InvalidRules::new(format!("many has no child {found}")));
    }
    match (attribute_of(element, "id"), attribute_of(element, "domain")) {
        (Some(id), None) => Ok(Except::One(identity(id))),
        (None, Some(name)) => Ok(Except::Domain(domain(name))),
        _ => Err(InvalidRules::new("except needs either id or domain")),
    }
}

fn read_validity(element: Node<'_, '_>) -> Result<Vec<(WallTime, WallTime)>, InvalidRules> {
    let wrong = || InvalidRules::new("validity needs pairs of from and until with dates and times");
    let mut spans = Vec::new();
    let mut from = None;
    for child in elements(element) {
        let time = text_of(child).and_then(|text| timestamp::parse(text.trim_ascii()));
        let time = time.ok_or_else(wrong)?;
        match (child.tag_name().name(), from.take()) {
            ("from", None) => from = Some(time),
            ("until", Some(from)) => spans.push((from, time)),
            _ => return Err(wrong()),
        }
    }
    if from.is_some() || spans.is_empty() { Err(wrong()) } else { Ok(spans) }
}

pub(super) fn required<'a>(element: Node<'a, '_>, name: &str) -> Result<&'a str, InvalidRules> {
    attribute_of(element, name).ok_or_else(|| {
        InvalidRules::new(format!("{} needs the attribute {name}", element.tag_name().name()))
    })
}

/// Whom a URI in a rule means.
pub(crate) fn identity(uri: &str) -> Option<Aor> {
    Aor::from_uri(&sip::uri::parse(uri.trim()).ok()?).ok()
}

fn domain(name: &str) -> String {
    name.trim().trim_end_matches('.').to_ascii_lowercase()
}
