//! The values that a figure took, as they were told and as they came as events.
//!
//! What a cloud told is not always sure to be believed: a reading under a wrong clock, nonsense, a
//! push for an account whose credentials are dead. Such a place in what was told is a [`Told::Doubt`]:
//! one event, of any value, may stem from it, or none. All around it stays exact.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// A value, or none: the figure was taken back.
pub type Figure = Option<f64>;

/// The values that a figure took in events, one after the other.
#[derive(Debug, Default)]
pub struct Figures {
    last: Option<Figure>,
    pub all: Vec<Figure>,
}

impl Figures {
    pub fn take(&mut self, figure: Figure) {
        if self.last != Some(figure) {
            self.last = Some(figure);
            self.all.push(figure);
        }
    }
}

/// One thing that was told of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Told {
    Value(Figure),
    Doubt,
}

/// What was told of a figure, one after the other.
#[derive(Debug, Default)]
pub struct ToldFigures {
    pub all: Vec<Told>,
    /// Of what time the last thing is that was told for sure.
    known_at: Option<Timestamp>,
    /// Up to what time a reader may believe to know more than that: what is told of an earlier time
    /// is old to it then.
    may_know_to: Option<Timestamp>,
    /// The figure that the last doubt is about: told again, it is no other news.
    doubted: Option<Figure>,
}

impl ToldFigures {
    /// It was told as of a time. Of what is older than what is known for sure, nothing follows; of
    /// what is older than what may be known, anything may, and so of what is older than what was
    /// known before a doubt: nonsense may have taken that back.
    pub fn take(&mut self, figure: Figure, at: Option<Timestamp>) {
        let is_in_doubt = self.all.last() == Some(&Told::Doubt);
        let is_old = at < self.known_at;
        if is_old && !is_in_doubt {
            return;
        }
        self.known_at = self.known_at.max(at);
        if is_old || at < self.may_know_to {
            if self.doubted != Some(figure) {
                self.all.push(Told::Doubt);
                self.doubted = Some(figure);
            }
            return;
        }
        self.doubted = None;
        if self.all.last() != Some(&Told::Value(figure)) {
            self.all.push(Told::Value(figure));
        }
    }

    /// Something was told, at a moment, that a reader may believe or not, and with it that it is
    /// of any time up to now.
    pub fn doubt(&mut self, now: Timestamp) {
        self.all.push(Told::Doubt);
        self.doubted = None;
        self.may_know_to = self.may_know_to.max(Some(now));
    }

    pub fn known_at(&self) -> Option<Timestamp> {
        self.known_at
    }

    /// The value that is known for sure.
    pub fn known(&self) -> Option<Figure> {
        match self.all.last() {
            Some(Told::Value(figure)) => Some(*figure),
            Some(Told::Doubt) | None => None,
        }
    }

    /// The least number of events that nothing told, if all that was told for sure came in its
    /// order; else the first thing told that did not come.
    pub fn untold_among(&self, events: &[Figure]) -> Result<usize, usize> {
        // By events accounted for: the fewest of them that nothing told. Where there is no doubt,
        // there is one way only.
        let mut ways = BTreeMap::from([(0, 0)]);
        for (index, told) in self.all.iter().enumerate() {
            let mut next = BTreeMap::new();
            let mut reach = |used: usize, untold: usize| {
                let fewest = next.entry(used).or_insert(untold);
                *fewest = untold.min(*fewest);
            };
            for (used, untold) in ways {
                match told {
                    Told::Doubt => {
                        reach(used, untold);
                        if used < events.len() {
                            reach(used + 1, untold);
                        }
                    }
                    Told::Value(value) => {
                        let is_current = used > 0 && same(&events[used - 1], value);
                        if is_current {
                            reach(used, untold);
                        }
                        let mut rest = events[used..].iter();
                        if let Some(skipped) = rest.position(|event| same(event, value)) {
                            reach(used + skipped + 1, untold + skipped);
                        }
                    }
                }
            }
            if next.is_empty() {
                return Err(index);
            }
            ways = next;
        }
        let ends = ways
            .into_iter()
            .map(|(used, untold)| untold + events.len() - used);
        Ok(ends.min().unwrap_or(0))
    }
}

fn same(ours: &Figure, theirs: &Figure) -> bool {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() < 1e-6,
        (ours, theirs) => ours == theirs,
    }
}

#[test]
fn what_is_in_doubt_excuses_itself_and_nothing_else() {
    let told = |text: &str| {
        let mut told = ToldFigures::default();
        for (second, letter) in (0..).zip(text.bytes()) {
            let now = Timestamp::from_second(second).unwrap();
            match letter {
                b'?' => told.doubt(now),
                letter => told.take(Some(f64::from(letter)), Some(now)),
            }
        }
        told
    };
    let untold = |said: &str, came: &str| {
        let events: Vec<Figure> = came.bytes().map(|b| Some(f64::from(b))).collect();
        told(said).untold_among(&events)
    };
    assert_eq!(untold("abc", "abc"), Ok(0));
    assert_eq!(untold("abc", "ac"), Err(1));
    assert_eq!(untold("abc", "acb"), Err(2));
    assert_eq!(untold("abc", "axbcy"), Ok(2));
    // Taken or not, and what is said again after it is news or not.
    assert_eq!(untold("a?b", "ab"), Ok(0));
    assert_eq!(untold("a?b", "axb"), Ok(0));
    assert_eq!(untold("a?b", "axyb"), Ok(1));
    assert_eq!(untold("a?aba", "aba"), Ok(0));
    assert_eq!(untold("a?aba", "axaba"), Ok(0));
    assert_eq!(untold("a??b", "axyb"), Ok(0));
    assert_eq!(untold("a?b?", "ab"), Ok(0));
    assert_eq!(untold("a?bc", "axc"), Err(2));
}

#[test]
fn what_is_older_than_a_doubt_is_a_doubt_once() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let mut told = ToldFigures::default();
    told.take(Some(1.0), Some(at(1)));
    told.doubt(at(5));
    // A reader that believed the nonsense of second 5 does not believe what is of second 1.
    for _ in 0..9 {
        told.take(Some(1.0), Some(at(1)));
    }
    let sure = Told::Value(Some(1.0));
    assert_eq!(told.all, [sure, Told::Doubt, Told::Doubt]);
    told.take(Some(2.0), Some(at(2)));
    told.take(Some(2.0), Some(at(6)));
    assert_eq!(told.all[3..], [Told::Doubt, Told::Value(Some(2.0))]);
    // What is older than what is known for sure is nothing, but for after a doubt.
    told.take(Some(3.0), Some(at(3)));
    assert_eq!(told.all.len(), 5);
    told.doubt(at(7));
    told.take(Some(3.0), Some(at(3)));
    told.take(Some(3.0), Some(at(3)));
    assert_eq!(told.all[5..], [Told::Doubt, Told::Doubt]);
}
