//! A document of rules, and what it decides (RFC 4745 §10, RFC 5025 §3).

use roxmltree::{Document, Node, ParsingOptions};
use sip::clock::WallTime;

use super::condition::{Condition, required};
use super::{Circumstances, Decision, Handling, Permissions, namespace};
use crate::document::fragment::{elements, text_of};
use crate::document::guard::{self, Limits};

/// Why a document of rules is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRules(String);

impl InvalidRules {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// The rules of a presentity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    conditions: Vec<Condition>,
    /// None where the rule does not say.
    handling: Option<Handling>,
    permissions: Permissions,
}

impl Ruleset {
    /// Reads and checks a document.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, InvalidRules> {
        let source =
            guard::check(bytes, limits).map_err(|error| InvalidRules::new(error.to_string()))?;
        let options = ParsingOptions { nodes_limit: limits.nodes, ..ParsingOptions::default() };
        let tree = Document::parse_with_options(source, options)
            .map_err(|error| InvalidRules::new(error.to_string()))?;
        let root = tree.root_element();
        if !root.has_tag_name((namespace::COMMON, "ruleset")) {
            return Err(InvalidRules::new("the document is no ruleset"));
        }
        let mut ids = Vec::new();
        let mut rules = Vec::new();
        for element in elements(root) {
            if !element.has_tag_name((namespace::COMMON, "rule")) {
                let found = element.tag_name().name();
                return Err(InvalidRules::new(format!("ruleset has no child {found}")));
            }
            let id = required(element, "id")?;
            if ids.contains(&id) {
                return Err(InvalidRules::new(format!("two rules have the id {id}")));
            }
            ids.push(id);
            rules.push(Rule::read(element)?);
        }
        Ok(Self { rules })
    }

    /// Adds the rules of another document of the same presentity.
    pub fn add(&mut self, other: Self) {
        self.rules.extend(other.rules);
    }

    /// What the rules decide for a watcher: all that match, combined.
    #[must_use]
    pub fn decide(&self, now: &Circumstances<'_>) -> Decision {
        // Whether any rule knows the watcher by name decides who is "other".
        let is_named = self.rules.iter().any(|rule| {
            let about = || rule.conditions.iter().filter(|one| one.is_about_identity());
            about().next().is_some() && about().all(|condition| condition.holds(now))
        });
        let mut decision = Decision::default();
        for rule in &self.rules {
            let holds = |condition: &Condition| match condition {
                Condition::OtherIdentity => condition.holds(now) && !is_named,
                _ => condition.holds(now),
            };
            if rule.conditions.iter().all(holds) {
                decision.handling = decision.handling.max(rule.handling.unwrap_or_default());
                decision.permissions.join(&rule.permissions);
            }
        }
        decision
    }

    /// Whether the sphere of the presentity has a say.
    #[must_use]
    pub fn depends_on_sphere(&self) -> bool {
        self.conditions().any(|condition| matches!(condition, Condition::Sphere(_)))
    }

    /// Whether lists of the presentity have a say.
    #[must_use]
    pub fn depends_on_lists(&self) -> bool {
        self.conditions().any(|condition| matches!(condition, Condition::Listed(_)))
    }

    /// The next moment at which a span of time begins or ends.
    #[must_use]
    pub fn next_change(&self, after: WallTime) -> Option<WallTime> {
        self.conditions()
            .filter_map(|condition| match condition {
                Condition::Validity(spans) => Some(spans),
                _ => None,
            })
            .flatten()
            .flat_map(|(from, until)| [*from, *until])
            .filter(|edge| *edge > after)
            .min()
    }

    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.rules.iter().flat_map(|rule| &rule.conditions)
    }
}

impl Rule {
    fn read(element: Node<'_, '_>) -> Result<Self, InvalidRules> {
        let mut rule =
            Self { conditions: Vec::new(), handling: None, permissions: Permissions::default() };
        let mut seen = Vec::new();
        for part in elements(element) {
            let name = part.tag_name().name();
            if part.tag_name().namespace() != Some(namespace::COMMON) || seen.contains(&name) {
                return Err(InvalidRules::new(format!("{name} is not expected in a rule")));
            }
            seen.push(name);
            match name {
                "conditions" => {
                    rule.conditions =
                        elements(part).map(Condition::read).collect::<Result<_, _>>()?;
                }
                "actions" => rule.handling = read_handling(part)?,
                "transformations" => rule.permissions = Permissions::read(part)?,
                _ => {
                    return Err(InvalidRules::new(format!("{name} is not expected in a rule")));
                }
            }
        }
        Ok(rule)
    }
}

fn read_handling(actions: Node<'_, '_>) -> Result<Option<Handling>, InvalidRules> {
    let mut handling = None;
    for element in elements(actions) {
        if !element.has_tag_name((namespace::PRES_RULES, "sub-handling")) {
            continue;
        }
        let text = text_of(element).unwrap_or_default();
        handling = Some(match text.trim_ascii() {
            "block" => Handling::Block,
            "confirm" => Handling::Confirm,
            "polite-block" => Handling::PoliteBlock,
            "allow" => Handling::Allow,
            other => {
                let what = format!("sub-handling cannot be {other:?}");
                return Err(InvalidRules::new(what));
            }
        });
    }
    Ok(handling)
}
