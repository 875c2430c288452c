//! What a rule's alerts are worth, held against the truth.

/// Alerts of one rule on one case or process.
#[derive(Debug, Clone)]
pub struct Trial {
    /// From when on it leaks, in seconds; none is healthy.
    pub leaks_from_secs: Option<f64>,
    /// When alerts were raised, in the order of time.
    pub raised_secs: Vec<f64>,
}

/// What many trials come to.
#[derive(Debug, Clone, Default)]
pub struct Score {
    /// Trials that leak.
    pub n_leaking: usize,
    /// Trials with an alert that was none: in health, or before the leak began.
    pub n_false: usize,
    /// After how many seconds each leak that was found was found, the soonest first.
    found_after_secs: Vec<f64>,
}

impl Trial {
    fn is_false(&self) -> bool {
        let first = self.raised_secs.first();
        first.is_some_and(|secs| {
            self.leaks_from_secs
                .is_none_or(|from_secs| *secs < from_secs)
        })
    }

    fn found_after_secs(&self) -> Option<f64> {
        let from_secs = self.leaks_from_secs?;
        let found = self.raised_secs.iter().find(|secs| **secs >= from_secs);
        found.map(|secs| secs - from_secs)
    }
}

impl Score {
    /// Of these trials; a leak that is found later than within this time is not found.
    pub fn of<'a>(trials: impl IntoIterator<Item = &'a Trial>, within_secs: f64) -> Self {
        let mut score = Self::default();
        for trial in trials {
            score.n_leaking += usize::from(trial.leaks_from_secs.is_some());
            score.n_false += usize::from(trial.is_false());
            let found = trial.found_after_secs();
            score
                .found_after_secs
                .extend(found.filter(|secs| *secs <= within_secs));
        }
        score.found_after_secs.sort_by(f64::total_cmp);
        score
    }

    /// Leaks that were found.
    pub fn n_found(&self) -> usize {
        self.found_after_secs.len()
    }

    /// Which part of the leaks was found.
    pub fn recall(&self) -> f64 {
        self.n_found() as f64 / self.n_leaking as f64
    }

    /// Which part of what was said to leak does.
    pub fn precision(&self) -> f64 {
        self.n_found() as f64 / (self.n_found() + self.n_false) as f64
    }

    /// After how many minutes this part of the leaks that were found was found.
    pub fn found_after_minutes(&self, part: f64) -> f64 {
        let index = (self.n_found() as f64 * part) as usize;
        let secs = self
            .found_after_secs
            .get(index.min(self.n_found().saturating_sub(1)));
        secs.map_or(f64::NAN, |secs| secs / 60.0)
    }

    /// Recall and times as columns of a table.
    pub fn columns(&self) -> String {
        format!(
            "{:6.3}  {:6.0} min  {:6.0} min",
            self.recall(),
            self.found_after_minutes(0.5),
            self.found_after_minutes(0.9)
        )
    }
}

/// The head of these columns.
pub const COLUMNS: &str = "recall  median found  90 % found";
