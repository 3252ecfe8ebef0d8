//! Subscription-State: how a subscription stands (RFC 6665 §8.2.3).

use std::fmt;

use super::params::Params;
use super::{HeaderError, decimal, is_blank, is_token};

/// Where a subscription stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum State {
    /// Accepted.
    Active,
    /// Waiting for a decision.
    Pending,
    /// Over.
    Terminated,
    /// A state that no document defines yet.
    Other(String),
}

/// The state with its terms.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SubscriptionState {
    /// Where it stands.
    pub state: State,
    /// The seconds left.
    pub expires: Option<u32>,
    /// Why it is over.
    pub reason: Option<String>,
    /// The seconds to wait before asking again.
    pub retry_after: Option<u32>,
    /// The other parameters.
    pub params: Params,
}

impl SubscriptionState {
    /// Reads a value.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let (state, params) = match text.find(';').and_then(|at| text.split_at_checked(at)) {
            Some(parts) => parts,
            None => (text, ""),
        };
        let state = match state.trim_matches(is_blank) {
            name if name.eq_ignore_ascii_case("active") => State::Active,
            name if name.eq_ignore_ascii_case("pending") => State::Pending,
            name if name.eq_ignore_ascii_case("terminated") => State::Terminated,
            name if is_token(name) => State::Other(name.to_owned()),
            _ => return Err(HeaderError::Token),
        };
        let mut params = Params::parse(params)?;
        let seconds = |name| params.get(name).flatten().map(decimal).transpose();
        let (expires, retry_after) = (seconds("expires")?, seconds("retry-after")?);
        let reason = params.get("reason").flatten().map(str::to_owned);
        for name in ["expires", "retry-after", "reason"] {
            params.remove(name);
        }
        Ok(Self { state, expires, reason, retry_after, params })
    }
}

impl fmt::Display for SubscriptionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::Active => "active",
            State::Pending => "pending",
            State::Terminated => "terminated",
            State::Other(name) => name,
        })?;
        if let Some(seconds) = self.expires {
            write!(f, ";expires={seconds}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, ";reason={reason}")?;
        }
        if let Some(seconds) = self.retry_after {
            write!(f, ";retry-after={seconds}")?;
        }
        write!(f, "{}", self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let state = SubscriptionState::parse("Active;expires=599;x").unwrap();
        assert_eq!((state.state.clone(), state.expires), (State::Active, Some(599)));
        assert_eq!(state.to_string(), "active;expires=599;x");
        let state = SubscriptionState::parse("terminated;retry-after=5 ;reason=probation").unwrap();
        assert_eq!((state.reason.as_deref(), state.retry_after), (Some("probation"), Some(5)));
        assert!(SubscriptionState::parse(";expires=1").is_err());
        assert!(SubscriptionState::parse("active;expires=x").is_err());
    }
}
