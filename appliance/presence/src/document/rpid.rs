//! What a person does and whether a device is in use (RFC 4480 §3.2 and §3.16).

use std::fmt;

use roxmltree::Node;
use sip::clock::WallTime;

use super::fragment::{attribute_of, elements, is_known, text_of};
use super::namespace::Known;
use super::timestamp;

/// An activity of a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Activity {
    /// One that RFC 4480 names.
    Named(Name),
    /// The text of `other`, or the local name of an element from another namespace.
    Other(Box<str>),
}

/// The activities that RFC 4480 §3.2 names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// Has a calendar appointment.
    Appointment,
    /// Is away from all devices.
    Away,
    /// Eats the first meal of the day.
    Breakfast,
    /// Is busy, without saying how.
    Busy,
    /// Eats the main meal of the day.
    Dinner,
    /// Has a day off work that is a public holiday.
    Holiday,
    /// Rides in a vehicle without steering it.
    InTransit,
    /// Looks for paid work.
    LookingForWork,
    /// Eats the midday meal.
    Lunch,
    /// Eats.
    Meal,
    /// Is in a meeting.
    Meeting,
    /// Talks on the telephone.
    OnThePhone,
    /// Watches or gives a performance.
    Performance,
    /// Will not return.
    PermanentAbsence,
    /// Plays.
    Playing,
    /// Gives or attends a presentation.
    Presentation,
    /// Shops.
    Shopping,
    /// Sleeps.
    Sleeping,
    /// Watches a sporting or other event.
    Spectator,
    /// Controls a vehicle.
    Steering,
    /// Is on a business or personal trip.
    Travel,
    /// Watches television.
    Tv,
    /// Does something that is not known.
    Unknown,
    /// Is on holiday.
    Vacation,
    /// Works.
    Working,
    /// Takes part in a religious rite.
    Worship,
}

impl Name {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::Appointment,
        Self::Away,
        Self::Breakfast,
        Self::Busy,
        Self::Dinner,
        Self::Holiday,
        Self::InTransit,
        Self::LookingForWork,
        Self::Lunch,
        Self::Meal,
        Self::Meeting,
        Self::OnThePhone,
        Self::Performance,
        Self::PermanentAbsence,
        Self::Playing,
        Self::Presentation,
        Self::Shopping,
        Self::Sleeping,
        Self::Spectator,
        Self::Steering,
        Self::Travel,
        Self::Tv,
        Self::Unknown,
        Self::Vacation,
        Self::Working,
        Self::Worship,
    ];

    /// The name of the element.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Appointment => "appointment",
            Self::Away => "away",
            Self::Breakfast => "breakfast",
            Self::Busy => "busy",
            Self::Dinner => "dinner",
            Self::Holiday => "holiday",
            Self::InTransit => "in-transit",
            Self::LookingForWork => "looking-for-work",
            Self::Lunch => "lunch",
            Self::Meal => "meal",
            Self::Meeting => "meeting",
            Self::OnThePhone => "on-the-phone",
            Self::Performance => "performance",
            Self::PermanentAbsence => "permanent-absence",
            Self::Playing => "playing",
            Self::Presentation => "presentation",
            Self::Shopping => "shopping",
            Self::Sleeping => "sleeping",
            Self::Spectator => "spectator",
            Self::Steering => "steering",
            Self::Travel => "travel",
            Self::Tv => "tv",
            Self::Unknown => "unknown",
            Self::Vacation => "vacation",
            Self::Working => "working",
            Self::Worship => "worship",
        }
    }

    fn of(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.token() == token)
    }
}

impl Activity {
    /// Whether a person who does only this may well be gone from every device.
    #[must_use]
    pub const fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::Named(
                Name::Away
                    | Name::PermanentAbsence
                    | Name::Sleeping
                    | Name::Unknown
                    | Name::Vacation
                    | Name::Holiday
            )
        )
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name.token()),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// Adds what an `activities` element names to `activities`.
pub(crate) fn read_activities(element: Node<'_, '_>, activities: &mut Vec<Activity>) {
    for child in elements(element) {
        let local = child.tag_name().name();
        let activity = if !is_known(child, Known::Rpid) {
            Activity::Other(local.into())
        } else if let Some(name) = Name::of(local) {
            Activity::Named(name)
        } else if local == "other" {
            let text = text_of(child).unwrap_or_default();
            let text = text.trim_ascii();
            Activity::Other(if text.is_empty() { "other" } else { text }.into())
        } else if local == "note" {
            continue;
        } else {
            Activity::Other(local.into())
        };
        activities.push(activity);
    }
}

/// Whether somebody uses a device, service or anything of a person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserInput {
    /// Nobody has, for longer than the publisher's threshold.
    pub is_idle: bool,
    /// When somebody last did.
    pub last: Option<WallTime>,
}

impl UserInput {
    /// Reads a `user-input` element; `None` when it says neither active nor idle.
    pub(crate) fn read(element: Node<'_, '_>) -> Option<Self> {
        let is_idle = match text_of(element)?.trim_ascii() {
            "idle" => true,
            "active" => false,
            _ => return None,
        };
        // Clients older than the RFC say since.
        let last = attribute_of(element, "last-input").or_else(|| attribute_of(element, "since"));
        Some(Self { is_idle, last: last.and_then(timestamp::parse) })
    }
}
