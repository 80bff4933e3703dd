//! The values that a figure took, as they were told and as they came as events.
//!
//! What a cloud told is not always sure to be believed: a reading under a wrong clock, nonsense, a
//! push for an account whose credentials are dead. Such a place in what was told is a [`Told::Doubt`]:
//! one event, of any value, may stem from it, or none. All around it stays exact.

use std::collections::BTreeMap;

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
    /// Of what time the last thing is that was told is in doubt, so whether the next is newer.
    in_doubt: bool,
}

impl ToldFigures {
    /// It was told for sure: a reader knows it, whatever was in doubt before.
    pub fn take(&mut self, figure: Figure) {
        self.in_doubt = false;
        if self.all.last() != Some(&Told::Value(figure)) {
            self.all.push(Told::Value(figure));
        }
    }

    /// Something was told that a reader may believe or not.
    pub fn doubt(&mut self) {
        self.in_doubt = true;
        self.all.push(Told::Doubt);
    }

    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt
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
        for letter in text.bytes() {
            match letter {
                b'?' => told.doubt(),
                letter => told.take(Some(f64::from(letter))),
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
