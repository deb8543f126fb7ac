//! Refused connections that are reported to the keeper, so that a person learns which port is closed
//! or not served. A guest can dial as often as it likes: each port is reported once per reason, and
//! only so many of them, until the keeper changes the policy.

use serde::Serialize;

/// Ports reported for each side.
const MAX_REPORTED: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialler {
    Guest,
    Host,
}

/// Why a port could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The policy does not allow it.
    Closed,
    /// Nobody listens there.
    Unserved,
    /// Its listener's permissions keep the card out.
    Denied,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    pub dialled_by: Dialler,
    pub port: u32,
    pub reason: Reason,
}

/// What has been reported, and what is still to be.
#[derive(Debug, Default)]
pub struct Refusals {
    reported: [Vec<Refusal>; 2],
    waiting: Vec<Refusal>,
}

impl Refusals {
    pub fn note(&mut self, refusal: Refusal) {
        let reported = &mut self.reported[refusal.dialled_by as usize];
        if reported.len() < MAX_REPORTED && !reported.contains(&refusal) {
            reported.push(refusal);
            self.waiting.push(refusal);
        }
    }

    /// What has not been reported yet.
    pub fn take(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.waiting)
    }

    /// Every port is news again.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(dialled_by: Dialler, port: u32) -> Refusal {
        Refusal {
            dialled_by,
            port,
            reason: Reason::Closed,
        }
    }

    #[test]
    fn a_port_that_is_dialled_again_is_told_once() {
        let mut refusals = Refusals::default();
        for _ in 0..3 {
            refusals.note(refusal(Dialler::Guest, 8000));
        }
        assert_eq!(refusals.take(), [refusal(Dialler::Guest, 8000)]);
        refusals.note(refusal(Dialler::Guest, 8000));
        assert_eq!(refusals.take(), []);
    }

    #[test]
    fn a_guest_that_dials_every_port_is_told_of_within_bounds_and_hides_nothing_of_the_host() {
        let mut refusals = Refusals::default();
        for port in 0..100_000 {
            refusals.note(refusal(Dialler::Guest, port));
        }
        assert_eq!(refusals.take().len(), MAX_REPORTED);
        refusals.note(refusal(Dialler::Host, 5005));
        assert_eq!(refusals.take(), [refusal(Dialler::Host, 5005)]);
    }

    #[test]
    fn a_new_policy_makes_every_port_news_again() {
        let mut refusals = Refusals::default();
        refusals.note(refusal(Dialler::Guest, 8000));
        refusals.take();
        refusals.forget();
        refusals.note(refusal(Dialler::Guest, 8000));
        assert_eq!(refusals.take().len(), 1);
    }
}
