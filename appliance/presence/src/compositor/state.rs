//! The overall state of a person, and which of several states wins.

use crate::document::rpid::{Activity, Name};

/// How a person is reached, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Wants to be left alone.
    DoNotDisturb,
    /// Talks on the telephone.
    OnThePhone,
    /// Is in a meeting.
    InMeeting,
    /// Is busy.
    Busy,
    /// Is there.
    Available,
    /// Is not at the desk.
    Away,
    /// Is not at work.
    OutOfOffice,
    /// Is not there.
    Offline,
}

impl State {
    /// All of them, in the usual order: what comes first wins over what comes later.
    pub const ALL: [Self; 8] = [
        Self::DoNotDisturb,
        Self::OnThePhone,
        Self::InMeeting,
        Self::Busy,
        Self::Available,
        Self::Away,
        Self::OutOfOffice,
        Self::Offline,
    ];

    /// Its name.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::DoNotDisturb => "dnd",
            Self::OnThePhone => "phone",
            Self::InMeeting => "meeting",
            Self::Busy => "busy",
            Self::Available => "available",
            Self::Away => "away",
            Self::OutOfOffice => "out-of-office",
            Self::Offline => "offline",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn of(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.token() == token)
    }

    /// The state that an activity means; none where it says nothing of how to reach a person.
    #[must_use]
    pub fn of_activity(activity: &Activity) -> Option<Self> {
        let named = match activity {
            Activity::Named(name) => *name,
            Activity::Other(text) => {
                let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
                return if is(&["dnd", "do-not-disturb", "donotdisturb", "do not disturb"]) {
                    Some(Self::DoNotDisturb)
                } else if is(&["out-of-office", "out of office"]) {
                    Some(Self::OutOfOffice)
                } else {
                    None
                };
            }
        };
        match named {
            Name::OnThePhone => Some(Self::OnThePhone),
            Name::Meeting | Name::Appointment | Name::Presentation => Some(Self::InMeeting),
            Name::Busy | Name::Performance | Name::Steering | Name::Worship => Some(Self::Busy),
            Name::Away
            | Name::Breakfast
            | Name::Dinner
            | Name::InTransit
            | Name::Lunch
            | Name::Meal
            | Name::PermanentAbsence
            | Name::Shopping
            | Name::Sleeping => Some(Self::Away),
            Name::Holiday | Name::Travel | Name::Vacation => Some(Self::OutOfOffice),
            Name::LookingForWork
            | Name::Playing
            | Name::Spectator
            | Name::Tv
            | Name::Unknown
            | Name::Working => None,
        }
    }

    /// What the elements of a document that mean this are, for one that says no more.
    #[must_use]
    pub const fn activity(self) -> Option<&'static str> {
        match self {
            Self::DoNotDisturb => Some("<r:busy/><r:other>dnd</r:other>"),
            Self::OnThePhone => Some("<r:on-the-phone/>"),
            Self::InMeeting => Some("<r:meeting/>"),
            Self::Busy => Some("<r:busy/>"),
            Self::Away => Some("<r:away/>"),
            Self::OutOfOffice => Some("<r:vacation/>"),
            Self::Available | Self::Offline => None,
        }
    }
}

/// Which state wins over which: what comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order([State; 8]);

impl Default for Order {
    fn default() -> Self {
        Self(State::ALL)
    }
}

impl Order {
    /// Reads an order: every state once, with commas between; `offline`, which loses to all
    /// others, may be left out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut states: Vec<State> =
            text.split(',').map(|token| State::of(token.trim())).collect::<Option<_>>()?;
        if !states.contains(&State::Offline) {
            states.push(State::Offline);
        }
        let states: [State; 8] = states.try_into().ok()?;
        let is_whole = State::ALL.iter().all(|state| states.contains(state));
        (is_whole && states.last() == Some(&State::Offline)).then_some(Self(states))
    }

    /// Where a state stands: lower wins.
    #[must_use]
    pub fn rank(&self, state: State) -> usize {
        self.0.iter().position(|one| *one == state).unwrap_or(usize::MAX)
    }

    /// The state of this order that wins among these.
    pub fn first(&self, states: impl Iterator<Item = State>) -> Option<State> {
        states.min_by_key(|state| self.rank(*state))
    }

    /// As one number, three bits a state.
    pub(crate) fn to_number(self) -> u32 {
        self.0.iter().fold(0, |number, state| {
            let place = State::ALL.iter().position(|one| one == state).unwrap_or(0);
            number << 3 | u32::try_from(place).unwrap_or(0)
        })
    }

    pub(crate) fn from_number(number: u32) -> Self {
        let mut states = State::ALL;
        for (index, state) in states.iter_mut().rev().enumerate() {
            let place = (number >> (3 * index)) & 7;
            if let Some(one) = State::ALL.get(place as usize) {
                *state = *one;
            }
        }
        let is_whole = State::ALL.iter().all(|state| states.contains(state));
        if is_whole { Self(states) } else { Self::default() }
    }
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, state) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(state.token())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_every_state_once_and_offline_last() {
        let order = Order::parse("available,dnd,phone,meeting,busy,away,out-of-office").unwrap();
        assert_eq!(order.rank(State::Available), 0);
        assert_eq!(Order::from_number(order.to_number()), order);
        assert_eq!(Order::parse(&order.to_string()), Some(order));
        for wrong in [
            "",
            "dnd",
            "dnd,dnd,phone,meeting,busy,available,away",
            "offline,dnd,phone,meeting,busy,available,away,out-of-office",
        ] {
            assert_eq!(Order::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Order::from_number(0), Order::default());
    }
}
