//! Decides which machine this is and which capacity it carries.

use std::fmt;

use crate::capacity::{Class, Shortfall, Size, TooSmall};
use crate::detect::Resources;
use crate::dmi::{Dmi, MachineName, McsModel, Vendor};
use crate::profile::Profile;

/// Which rule recognised the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The firmware calls it an MCS.
    Mcs,
    /// The firmware names a model that was sold as an MCS.
    OemEquivalent,
    /// Any other machine: classed by cores, clock, memory and disk.
    BySize,
}

/// Something that the administrator should know of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The machine claims a class that its resources do not carry.
    ClaimsMoreThanItHas {
        /// What it claims to be.
        model: String,
        /// The class of that model.
        claimed: Class,
        /// The class that it gets.
        carried: Class,
        /// What is missing for the claim.
        missing: Vec<Shortfall>,
    },
    /// An MCS that has no capacity class: it is classed by size.
    NoClassForModel {
        /// What it claims to be.
        model: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClaimsMoreThanItHas { model, claimed, carried, missing } => {
                write!(
                    f,
                    "the machine is named {model}, which serves {} users, but it carries only {}: ",
                    claimed.max_users(),
                    carried.max_users()
                )?;
                for (i, shortfall) in missing.iter().enumerate() {
                    write!(f, "{}{shortfall}", if i == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
            Self::NoClassForModel { model } => {
                write!(f, "{model} has no capacity class of its own and is classed by its size")
            }
        }
    }
}

/// What the machine is, what it carries, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// Which rule decided.
    pub rule: Rule,
    /// The profile: `mcs-7845-i3`, or `generic` for a machine that has none.
    pub profile: String,
    /// What the machine is called: `MCS-7845-I3`, or what the firmware says.
    pub model: String,
    /// The class that it carries, or what is missing for the smallest.
    pub capacity: Result<Class, TooSmall>,
    /// Why, in a sentence or two.
    pub explanation: String,
    /// What the administrator should know.
    pub warnings: Vec<Warning>,
    /// What the firmware said.
    pub dmi: Dmi,
    /// What the machine has.
    pub resources: Resources,
}

impl Detection {
    /// How many enabled users there may be; none on a machine that is too small.
    #[must_use]
    pub fn max_users(&self) -> u32 {
        self.capacity.as_ref().map_or(0, |class| class.max_users())
    }
}

/// What the firmware's words lead to.
struct Claim<'a> {
    rule: Rule,
    model: String,
    class: Class,
    profile: Option<&'a Profile>,
    because: String,
}

/// Applies the rules in their order: the firmware says MCS; it names a model that was sold as one;
/// anything else by size.
pub(crate) fn decide(dmi: Dmi, resources: Resources, profiles: &[Profile]) -> Detection {
    let mut warnings = Vec::new();
    let claim = named_mcs(&dmi, profiles, &mut warnings)
        .or_else(|| oem_equivalent(&dmi, &resources, profiles));
    let by_size = Class::by_size(&resources);
    let (rule, profile, model, capacity, mut explanation) = match claim {
        Some(claim) => {
            let capacity = by_size.map(|by_size| carried(&claim, by_size, &resources, profiles));
            if let Ok(carried) = capacity
                && carried < claim.class
            {
                warnings.push(Warning::ClaimsMoreThanItHas {
                    model: claim.model.clone(),
                    claimed: claim.class,
                    carried,
                    missing: claim.minimum().shortfalls(&resources),
                });
            }
            let profile = claim.profile.map_or("generic", |profile| profile.id);
            (claim.rule, profile.to_owned(), claim.model, capacity, claim.because)
        }
        None => {
            let (model, because) = unlisted(&dmi, &resources);
            (Rule::BySize, "generic".to_owned(), model, by_size, because)
        }
    };
    match &capacity {
        Ok(class) => explanation.push_str(&format!(
            " With {}, it serves {} users (class {}).",
            Summary(&resources),
            class.max_users(),
            class.number()
        )),
        Err(small) => {
            explanation.push_str(&format!(" It has {}: {small}.", Summary(&resources)));
        }
    }
    Detection { rule, profile, model, capacity, explanation, warnings, dmi, resources }
}

impl Claim<'_> {
    fn minimum(&self) -> crate::capacity::Minimum {
        self.profile.map_or_else(|| self.class.minimum(), |profile| profile.minimum)
    }
}

/// Rule 1: the firmware says MCS-78nn.
fn named_mcs<'a>(
    dmi: &Dmi,
    profiles: &'a [Profile],
    warnings: &mut Vec<Warning>,
) -> Option<Claim<'a>> {
    let (field, text, found) =
        dmi.names().find_map(|(field, text)| Some((field, text, McsModel::find(text)?)))?;
    let model = found.model();
    let Some(class) = Class::from_number(&found.number) else {
        warnings.push(Warning::NoClassForModel { model });
        return None;
    };
    let profile = profiles.iter().find(|profile| profile.model == model);
    let because = format!("The firmware names it {model} ({field} is \"{text}\").");
    Some(Claim { rule: Rule::Mcs, model, class, profile, because })
}

/// Rule 2: the firmware names a model that was sold as an MCS. Where it was sold as several, the
/// largest whose minimum is met, or else the smallest of them.
fn oem_equivalent<'a>(
    dmi: &Dmi,
    resources: &Resources,
    profiles: &'a [Profile],
) -> Option<Claim<'a>> {
    let vendor = Vendor::recognise(dmi.vendor()?)?;
    let (field, text, mut sold_as) = dmi.names().find_map(|(field, text)| {
        let name = MachineName::new(text);
        let matching: Vec<&Profile> =
            profiles.iter().filter(|profile| profile.is_sold_as(vendor, &name)).collect();
        (!matching.is_empty()).then_some((field, text, matching))
    })?;
    sold_as.sort_by_key(|profile| profile.class);
    let met = sold_as.iter().rev().find(|profile| profile.minimum.is_met_by(resources));
    let profile = met.or_else(|| sold_as.first()).copied()?;
    let mut because = format!(
        "The firmware names it {} {text} ({field}), which was sold as {}.",
        vendor.name(),
        sold_as.iter().map(|profile| profile.model.as_str()).collect::<Vec<_>>().join(" and ")
    );
    if sold_as.len() > 1 {
        because.push_str(&format!(" Its sockets, cores and memory make it {}.", profile.model));
    }
    Some(Claim {
        rule: Rule::OemEquivalent,
        model: profile.model.clone(),
        class: profile.class,
        profile: Some(profile),
        because,
    })
}

impl Profile {
    fn is_sold_as(&self, vendor: Vendor, name: &MachineName) -> bool {
        let of_type = |t: &str| self.oem.machine_types.iter().any(|listed| listed == t);
        self.oem.vendor == vendor
            && (self.oem.product.is_named_as(name) || name.machine_type().is_some_and(of_type))
    }
}

/// The class that a machine with such a claim carries: the claimed one when it has what that model
/// was sold with, or what any machine of the class needs; otherwise the largest below it.
fn carried(
    claim: &Claim<'_>,
    by_size: Class,
    resources: &Resources,
    profiles: &[Profile],
) -> Class {
    if claim.minimum().is_met_by(resources) || by_size >= claim.class {
        return claim.class;
    }
    let Some(profile) = claim.profile else { return by_size };
    let siblings = profiles.iter().filter(|other| {
        other.class < claim.class
            && other.oem.vendor == profile.oem.vendor
            && other.oem.product == profile.oem.product
            && other.minimum.is_met_by(resources)
    });
    siblings.map(|other| other.class).fold(by_size, Class::max)
}

/// Rule 3: what an unlisted machine is called, and why it is classed by size.
fn unlisted(dmi: &Dmi, resources: &Resources) -> (String, String) {
    let vendor = dmi.vendor();
    let product = dmi.names().next().map(|(_, text)| text);
    let model = match (vendor, product) {
        (Some(vendor), Some(product)) if product.starts_with(vendor) => product.to_owned(),
        (Some(vendor), Some(product)) => format!("{vendor} {product}"),
        (Some(only), None) | (None, Some(only)) => only.to_owned(),
        (None, None) => "unnamed machine".to_owned(),
    };
    let kind = if resources.is_virtual { "virtual machine" } else { "machine" };
    let because = match (vendor, product) {
        (None, None) => format!("The firmware does not name this {kind}: it is classed by size."),
        _ => format!("The {kind} \"{model}\" has no profile: it is classed by size."),
    };
    (model, because)
}

/// The resources in a few words.
struct Summary<'a>(&'a Resources);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Resources { cores, sockets, clock_mhz, memory_bytes, disk_bytes, .. } = self.0;
        write!(f, "{cores} core{}", if *cores == 1 { "" } else { "s" })?;
        if let Some(sockets) = sockets {
            write!(f, " in {sockets} socket{}", if *sockets == 1 { "" } else { "s" })?;
        }
        if let Some(clock_mhz) = clock_mhz {
            write!(f, " at {clock_mhz} MHz")?;
        }
        write!(f, ", {} of memory", Size::memory(*memory_bytes))?;
        write!(f, " and {} of disk", Size::disk(*disk_bytes))
    }
}
